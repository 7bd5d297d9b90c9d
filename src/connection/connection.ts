import type { IncomingMessage } from 'node:http';

import { ConnectionStep } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import type { HandlerRef } from '../handlers/isolated-server.js';
import { subjectOf } from '../journal/journal.js';
import type { ConnectionHooks } from '../manager/manager-owner.js';
import { isAnswer } from '../manager/asks.js';
import { afterwards } from '../structures/maybe-async.js';
import { TokenBucket } from '../structures/token-bucket.js';
import { CloseCode, type CloseReason } from '../wire/close-codes.js';
import type { InboundMessage } from '../wire/message-parser.js';
import { takeAnswer } from './answer-check.js';
import { type ConnectingConnection, runConnectHooks, runDisconnectHooks } from './connect-hooks.js';
import { recordClosed, recordReady } from './connection-events.js';
import { ExpiringConnection } from './expiring-connection.js';
import { messageIn } from './frame-reading.js';
import {
  idIn,
  ignoredFrame,
  isCancel,
  overloaded,
  promiseFault,
  type RefusedReason,
} from './ignored-messages.js';
import { otherThreadOf, refuseThread } from './thread-claim.js';
import { refuseWaiting } from './reply.js';
import { refuseSubscriptions } from './topic-messages.js';
import type { IgnoredReason } from './traffic-counters.js';
import { type WaitingConnection, WaitingMessages } from './waiting-messages.js';

/** The gateway's side of one connection: runs its hooks, and handles its messages in order and within the bounds. */
export class Connection
  extends ExpiringConnection
  implements ConnectionHooks, ConnectingConnection, WaitingConnection
{
  /** The number of gateways whose connect hook has begun. Only these get a disconnect hook. */
  connectsStarted = 0;
  /** Whether the connect hooks have ended and messages may be handled. */
  isReady = false;
  // Created on first use: an idle connection has none of these three.
  #waiting: WaitingMessages | undefined = undefined;
  #rate: TokenBucket | undefined = undefined;
  #connecting: (() => Promise<void> | undefined) | undefined = undefined;

  constructor(...parts: ConstructorParameters<typeof ExpiringConnection>) {
    super(...parts);
    this.manager.useHooks(this);
  }

  /** Runs the connect hooks. Messages wait until the hooks have ended. */
  open(request: IncomingMessage): void {
    this.services.resume?.enter(this.manager, request);
    const connecting = new ConnectionStep(this.manager.context);
    const pending = runInContext(connecting, () => runConnectHooks(this, request), undefined);
    if (!pending) {
      this.becomeReady();
      return;
    }
    const ended = pending.then(() => {
      this.#connecting = undefined;
      this.becomeReady();
    });
    this.#connecting = () => connecting.left(ended);
  }

  overload(): void {
    this.ignore('pending-overflow');
    void this.manager.close(CloseCode.OVERLOADED, overloaded());
  }

  received(frame: Buffer, isBinary: boolean): void {
    this.services.traffic.count(frame);
    if (this.isExpired()) return this.ignore('closing');
    if (!this.isWithinRate(frame, isBinary)) return;
    const message = this.parse(frame, isBinary);
    if (!message) return this.refuse('not-json', { id: idIn(frame) });
    if (this.passesQueue(message)) return;
    const refs = this.handlersOf(message);
    if (!refs) return this.ignoreUnknown(message);
    const claimed = otherThreadOf(this, message);
    if (claimed !== undefined) {
      this.ignore('thread-mismatch');
      return refuseThread(this, message, claimed);
    }
    if (this.mayStart()) this.start(message, refs);
    else this.wait(message, refs, frame.length);
  }

  // A handler may be waiting for an answer, and all handlers may be busy when the identity is about to expire.
  private passesQueue(message: InboundMessage): boolean {
    const { renewals } = this.services;
    if (isAnswer(message)) takeAnswer(this, message);
    else if (renewals?.takes(message)) renewals.handle(this, message);
    else return this.cancels(message);
    return true;
  }

  // A gateway may handle `cancel` itself. A client that names a call which still runs means that call all the same: the
  // client of this library does so whenever a request takes too long.
  private cancels(message: InboundMessage): boolean {
    return isCancel(message) && (this.cancel(message.id) || !this.handlersOf(message));
  }

  asked(): void {
    this.#waiting?.readOn();
  }

  /** Counts a frame that arrived after the connection began to close. */
  ignored(frame: Buffer): void {
    this.services.traffic.count(frame);
    this.ignore('closing');
  }

  closing(): void {
    this.endExpiry();
    this.services.renewals?.closing(this.manager);
    this.services.resume?.leave(this.manager);
    this.refuseOpen();
    refuseSubscriptions(this.services, this.manager);
    for (const { message } of this.#waiting?.drop() ?? []) {
      this.ignore('closing');
      refuseWaiting(this.manager, message);
    }
    this.#waiting = undefined;
  }

  /** The lease of the connection is certain again: handles the messages that were held. */
  resume(): void {
    this.startNext();
  }

  disconnected(reason: CloseReason): Promise<void> | undefined {
    recordClosed(this, reason);
    return afterwards(this.connected(), () =>
      afterwards(this.disconnect(reason.code), () => this.handled()),
    );
  }

  released(): Promise<void> | undefined {
    return this.scope.dispose((dispose, name) => this.step(`dispose ${name}`, dispose));
  }

  private connected(): Promise<void> | undefined {
    return this.#connecting && this.step('handleConnection', this.#connecting);
  }

  private disconnect(code: number): Promise<void> | undefined {
    return runDisconnectHooks(this, (hook) =>
      this.step('handleDisconnect', () => hook(this.client, code)),
    );
  }

  private handled(): Promise<void> | undefined {
    return afterwards(this.endStreams(), () =>
      this.running > 0 ? this.step('message handlers', () => this.idle()) : undefined,
    );
  }

  override streamFailed(error: unknown): void {
    this.hookFailed('end of a stream (failed)', error);
  }

  protected override placeFree(): void {
    this.startNext();
  }

  private becomeReady(): void {
    if (!this.manager.mayAct) return;
    this.isReady = true;
    this.manager.markReady();
    this.services.resume?.start(this.manager);
    recordReady(this);
    this.startNext();
  }

  private parse(frame: Buffer, isBinary: boolean): InboundMessage | undefined {
    return messageIn(this, frame, isBinary, (error) => this.hookFailed('codec', error));
  }

  private ignoreUnknown(message: InboundMessage): void {
    const error = promiseFault(message);
    if (error) this.hookFailed('messageParser', error);
    this.refuse('unknown-event', message);
  }

  private isWithinRate(frame: Buffer, isBinary: boolean): boolean {
    const { rate } = this.services.options.inbound;
    if (!rate) return true;
    const now = this.services.clock.now();
    this.#rate ??= new TokenBucket(rate.messages, rate.perMs, now);
    const { userId } = this.manager.context;
    if (this.#rate.take(now) && this.services.rates.take(userId, rate, now)) return true;
    const message = this.parse(frame, isBinary);
    // The id of a `cancel` is that of another message, which has a reply of its own.
    const isReplied = message && !this.cancels(message);
    this.refuse('rate-limit', isReplied ? message : {});
    void this.manager.close(CloseCode.RATE_LIMITED, 'rate limit');
    return false;
  }

  private wait(message: InboundMessage, refs: readonly HandlerRef[], frameBytes: number): void {
    this.#waiting ??= new WaitingMessages(this);
    if (this.#waiting.add(message, refs, frameBytes)) return;
    this.refuse('pending-overflow', message);
    void this.manager.close(CloseCode.POLICY_VIOLATION, 'too many messages are waiting');
  }

  private startNext(): void {
    this.#waiting?.startNext();
    if (this.#waiting?.isDone) this.#waiting = undefined;
  }

  // A method, not a getter: V8 looks up private getters at run time even in optimised code.
  private mayStart(): boolean {
    return (
      this.isReady &&
      this.manager.lastActivityAt < this.services.leases.freshUntil &&
      this.running < this.services.options.inbound.concurrency &&
      !this.#waiting?.size
    );
  }

  // Counts a message that is not handled, and replies to it where it has an id.
  private refuse(reason: RefusedReason, message: { readonly id?: unknown }): void {
    this.ignore(reason);
    const frame = ignoredFrame(reason, message);
    if (frame !== undefined) this.manager.sendFrame(frame);
  }

  override ignore(reason: IgnoredReason): void {
    this.services.traffic.ignored[reason] += 1;
    const { journal } = this.services;
    if (!journal.isHeard('message-dropped')) return;
    journal.record('message-dropped', { subject: subjectOf(this.manager.context), reason });
  }

  private step(name: string, step: () => unknown): Promise<void> | undefined {
    return this.manager.runStep(name, step, (outcome, error) =>
      this.hookFailed(`${name} (${outcome})`, error),
    );
  }

  private hookFailed(hook: string, error: unknown): void {
    this.manager.fail(error instanceof Error ? error : hook);
    const subject = subjectOf(this.manager.context);
    this.services.journal.record('hook-failed', { subject, hook, error });
  }
}
