import type { IncomingMessage } from 'node:http';

import type { WebSocket } from 'ws';

import type { Release } from '../clock/clock.js';
import { CloseCode, type CloseReason } from '../closing/close-codes.js';
import type { HeldTraffic } from '../cluster/cluster-slots.js';
import { ConnectionStep } from '../context/connection-code.js';
import { runInContext, runOutsideContext } from '../context/user-execution-context.js';
import { subjectOf } from '../journal/journal.js';
import { afterwards, isThenable } from '../manager/bounded-run.js';
import type { ConnectionHooks } from '../manager/manager-host.js';
import { TokenBucket } from '../manager/token-bucket.js';
import { type ConnectingConnection, runConnectHooks } from './connect-hooks.js';
import { MessageRefusedError } from './exception-reply.js';
import { HandlerRunner } from './handler-runner.js';
import type { HandlerRef } from './isolated-server.js';
import type { InboundMessage } from './message-parser.js';
import { MessageQueue } from './message-queue.js';
import { claimedThread } from './thread-claim.js';
import type { IgnoredReason } from './traffic-counters.js';

/** A message that waits for its handler. */
interface PendingMessage {
  readonly message: InboundMessage;
  readonly refs: readonly HandlerRef[];
  readonly bytes: number;
}

/** What a waiting message costs beside its bytes: so that a million empty ones are not free. */
const MESSAGE_OVERHEAD_BYTES = 64;
/** What a client is told that was closed because the process holds too much: the time in which handlers make room. */
const OVERLOAD_RETRY_MS = 5_000;
/** Reading pauses when this share of `inbound.maxPendingBytes` waits, and goes on below half of it. */
const PAUSE_AT = 1 / 4;

/** The gateway's side of one connection: its hooks, and its messages in their order and bounds. */
export class Connection
  extends HandlerRunner
  implements ConnectionHooks, ConnectingConnection, HeldTraffic
{
  /** Of how many gateways the connect hook has begun: only those get a disconnect hook. */
  connectsStarted = 0;
  #isReady = false;
  #isStarting = false;
  #pendingBytes = 0;
  // Made when first needed: an idle connection has none of these.
  #queue: MessageQueue<PendingMessage> | undefined = undefined;
  #rate: TokenBucket | undefined = undefined;
  #connecting: (() => Promise<void> | undefined) | undefined = undefined;
  #expiry: Release | undefined = undefined;
  /** Epoch milliseconds; 0 for an identity that does not expire. */
  #expiresAtMs = 0;

  constructor(...parts: ConstructorParameters<typeof HandlerRunner>) {
    super(...parts);
    this.manager.hooks = this;
    this.#expiry = this.#watchExpiry();
  }

  get path(): string {
    return this.server.path;
  }

  /** Runs the connect hooks; messages wait until they are through. */
  open(request: IncomingMessage): void {
    this.host.resume?.enter(this.manager, request);
    const connecting = new ConnectionStep(this.manager.context);
    const pending = runInContext(connecting, () => this.#connect(request), undefined);
    if (!pending) {
      this.#becomeReady();
      return;
    }
    const ended = pending.then(() => {
      this.#connecting = undefined;
      this.#becomeReady();
    });
    this.#connecting = () => connecting.left(ended);
  }

  #connect(request: unknown): Promise<void> | undefined {
    const { tracer } = this.host.tracing;
    if (!tracer) return runConnectHooks(this, request);
    const step = tracer.connect(this.manager, this.path);
    const pending = step.run(() => runConnectHooks(this, request));
    if (pending) return pending.then(() => step.end());
    step.end();
    return undefined;
  }

  /** Bytes of the messages that wait for a handler. */
  get waitingBytes(): number {
    return this.#pendingBytes;
  }

  overload(): void {
    this.#ignore('pending-overflow');
    const reason = JSON.stringify({ retryAfterMs: OVERLOAD_RETRY_MS });
    void this.manager.close(CloseCode.OVERLOADED, reason);
  }

  received(frame: Buffer): void {
    const { traffic } = this.host;
    traffic.received += 1;
    traffic.receivedBytes += frame.length;
    if (this.#isExpired()) return this.#ignore('closing');
    if (!this.#isWithinRate()) return;
    const message = this.#parse(frame);
    if (!message) return this.#ignore('not-json');
    const refs = this.server.handlersOf(message.event);
    if (!refs) return this.#ignoreUnknown(message);
    if (!this.#isOwnThread(message)) return;
    if (this.#mayStart()) this.start(message, refs);
    else this.#enqueue({ message, refs, bytes: frame.length + MESSAGE_OVERHEAD_BYTES });
  }

  /** A frame that comes after the end has begun. */
  ignored(frame: Buffer): void {
    const { traffic } = this.host;
    traffic.received += 1;
    traffic.receivedBytes += frame.length;
    this.#ignore('closing');
  }

  /** The slot is ours still: what waited may go on. */
  resume(): void {
    this.#startWaiting();
  }

  closing(): void {
    this.#expiry?.();
    this.#expiry = undefined;
    this.host.resume?.leave(this.manager);
    for (let left = this.#queue?.size ?? 0; left > 0; left -= 1) this.#ignore('closing');
    if (this.#queue) this.#dropWaiting();
    // The peer's answer to our close frame has to be read.
    this.#resumeReading();
  }

  disconnected(reason: CloseReason): Promise<void> | undefined {
    const { journal, clock } = this.host;
    if (journal.isHeard('connection-closed')) {
      const { context, createdAt } = this.manager;
      const connectedMs = clock.now() - createdAt;
      const subject = subjectOf(context);
      journal.record('connection-closed', { subject, path: this.path, reason, connectedMs });
    }
    return afterwards(this.#connected(), () =>
      afterwards(this.#disconnect(reason.code), () => this.#handled()),
    );
  }

  released(): Promise<void> | undefined {
    return this.scope.dispose((dispose, name) => this.#step(`dispose ${name}`, dispose));
  }

  #connected(): Promise<void> | undefined {
    const connecting = this.#connecting;
    return connecting && this.#step('handleConnection', connecting);
  }

  #disconnect(code: number, from = 0): Promise<void> | undefined {
    for (let index = from; index < this.connectsStarted; index += 1) {
      const gateway = this.instances[index]!;
      if (!gateway.handleDisconnect) continue;
      const hook = (): unknown => gateway.handleDisconnect!(this.client, code);
      const pending = this.#step('handleDisconnect', hook);
      if (pending) return pending.then(() => this.#disconnect(code, index + 1));
    }
    return undefined;
  }

  #handled(): Promise<void> | undefined {
    this.endStreams();
    return this.running > 0 ? this.#step('message handlers', () => this.idle()) : undefined;
  }

  protected override streamFailed(error: unknown): void {
    this.#hookFailed('end of a stream (failed)', error);
  }

  protected override cameTooLate(): void {
    this.#ignore('closing');
  }

  protected override placeFree(): void {
    if (this.#queue) this.#startWaiting();
  }

  #becomeReady(): void {
    if (!this.manager.mayAct) return;
    this.#isReady = true;
    this.manager.markReady();
    const { journal, clock, resume } = this.host;
    resume?.start(this.manager);
    if (journal.isHeard('connection-ready')) {
      const connectMs = clock.now() - this.manager.createdAt;
      const subject = subjectOf(this.manager.context);
      journal.record('connection-ready', { subject, path: this.path, connectMs });
    }
    this.#startWaiting();
  }

  #parse(frame: Buffer): InboundMessage | undefined {
    try {
      return this.host.parse(frame, this.manager.context) ?? undefined;
    } catch {
      return undefined;
    }
  }

  #ignoreUnknown(message: InboundMessage): void {
    if (isThenable(message)) {
      const error = new TypeError('The messageParser returned a promise instead of the message.');
      this.#hookFailed('messageParser', error);
      // Nobody waits for it: what it fails with must not end the process.
      Promise.resolve(message).catch(() => undefined);
    }
    this.#ignore('unknown-event');
  }

  #isWithinRate(): boolean {
    const { rate } = this.host.options.inbound;
    if (!rate) return true;
    const now = this.host.clock.now();
    this.#rate ??= new TokenBucket(rate.messages, rate.perMs, now);
    const { userId } = this.manager.context;
    if (this.#rate.take(now) && this.host.rates.take(userId, rate, now)) return true;
    this.#ignore('rate-limit');
    void this.manager.close(CloseCode.RATE_LIMITED, 'rate limit');
    return false;
  }

  #isOwnThread(message: InboundMessage): boolean {
    const { threadCheck } = this.host.options.inbound;
    const { context } = this.manager;
    const claimed = threadCheck === 'off' ? undefined : claimedThread(message.data, context);
    if (claimed === undefined) return true;
    this.host.tracker.record({ context: context.threadId, message: claimed });
    if (claimed === context.threadId) return true;
    this.#ignore('thread-mismatch');
    const subject = subjectOf(context);
    const mismatch = { subject, claimedThreadId: claimed, action: threadCheck };
    this.host.journal.record('thread-mismatch', mismatch);
    const error = new MessageRefusedError(
      'THREAD_MISMATCH',
      'The message names another thread than this connection’s. Open a connection for that thread.',
    );
    this.answerFailure(error, message);
    if (threadCheck === 'close')
      void this.manager.close(CloseCode.POLICY_VIOLATION, 'thread mismatch');
    return false;
  }

  #enqueue(pending: PendingMessage): void {
    const { maxPendingBytes } = this.host.options.inbound;
    if (this.#pendingBytes + pending.bytes > maxPendingBytes) {
      this.#ignore('pending-overflow');
      void this.manager.close(CloseCode.POLICY_VIOLATION, 'too many messages are waiting');
      return;
    }
    (this.#queue ??= new MessageQueue()).push(pending);
    this.#pendingBytes += pending.bytes;
    this.host.pending.add(this, pending.bytes);
    if (!this.manager.isActive) return;
    if (this.#isReady && !this.#isFresh) this.host.leases.hold(this);
    if (this.#pendingBytes >= this.#pauseFrom && !this.manager.isReadingPaused) {
      this.manager.isReadingPaused = true;
      this.manager.attempt(pauseReading, this.client);
    }
  }

  /** Reading pauses from so many waiting bytes on, and goes on below half of it: earlier while the process holds much. */
  get #pauseFrom(): number {
    const { options, pending } = this.host;
    return Math.min(options.inbound.maxPendingBytes * PAUSE_AT, pending.share);
  }

  #dropWaiting(): void {
    this.#queue = undefined;
    this.#pendingBytes = 0;
    this.host.pending.delete(this);
  }

  // A method and not a getter, as everything private that every message passes: V8 looks private getters up
  // at run time, also in optimised code.
  #mayStart(): boolean {
    return (
      this.#isReady &&
      this.manager.lastActivityAt < this.host.leases.freshUntil &&
      this.running < this.host.options.inbound.concurrency &&
      !this.#queue?.size
    );
  }

  get #isFresh(): boolean {
    return this.host.clock.now() < this.host.leases.freshUntil;
  }

  #startWaiting(): void {
    // A handler that ends at once gives its place back inside the loop that is starting it.
    if (!this.#isReady || this.#isStarting) return;
    if (this.#queue && !this.#isFresh) return this.host.leases.hold(this);
    this.#isStarting = true;
    this.#startQueued();
    this.#isStarting = false;
    if (this.#queue?.size === 0) this.#dropWaiting();
    if (this.manager.isReadingPaused && this.#pendingBytes <= this.#pauseFrom / 2)
      this.#resumeReading();
  }

  #startQueued(): void {
    const { concurrency } = this.host.options.inbound;
    while (this.#queue && this.running < concurrency && this.manager.mayAct) {
      if (this.#isExpired()) return;
      const pending = this.#queue.shift();
      if (!pending) return;
      this.#pendingBytes -= pending.bytes;
      this.start(pending.message, pending.refs);
    }
  }

  #resumeReading(): void {
    if (!this.manager.isReadingPaused) return;
    this.manager.isReadingPaused = false;
    // Its silence while we did not listen was ours.
    this.manager.seen();
    this.manager.attempt(resumeReading, this.client);
  }

  #ignore(reason: IgnoredReason): void {
    this.host.traffic.ignored[reason] += 1;
    const { journal } = this.host;
    if (!journal.isHeard('message-dropped')) return;
    journal.record('message-dropped', { subject: subjectOf(this.manager.context), reason });
  }

  #watchExpiry(): Release | undefined {
    const { clock } = this.host;
    const { expiresAt } = this.manager.context;
    if (!expiresAt) return undefined;
    this.#expiresAtMs = expiresAt.getTime();
    return clock.after(this.#expiresAtMs - clock.epoch(), () => {
      // The wall clock may have been set back meanwhile.
      if (!this.#isExpired()) this.#expiry = this.#watchExpiry();
    });
  }

  /** A timer does not know that the wall clock was set, or that the machine was asleep. */
  checkIdentity(): void {
    this.#isExpired();
  }

  // By the wall clock, and before each message: a process that was frozen finds its timers due after what has come in.
  #isExpired(): boolean {
    if (this.#expiresAtMs === 0 || this.host.clock.epoch() < this.#expiresAtMs) return false;
    void this.manager.beginClose(CloseCode.UNAUTHORIZED, 'identity expired', 'server');
    return true;
  }

  #step(name: string, step: () => unknown): Promise<void> | undefined {
    return this.manager.runStep(name, step, (outcome, error) =>
      this.#hookFailed(`${name} (${outcome})`, error),
    );
  }

  #hookFailed(hook: string, error: unknown): void {
    this.manager.fail(error instanceof Error ? error : hook);
    const subject = subjectOf(this.manager.context);
    this.host.journal.record('hook-failed', { subject, hook, error });
  }
}

function pauseReading(client: WebSocket): void {
  client.pause();
}

function resumeReading(client: WebSocket): void {
  // Reading is the process's: what comes in later has nothing to do with the handler that has made room for it.
  runOutsideContext(resume, client);
}

function resume(client: WebSocket): void {
  client.resume();
}
