import type { IncomingMessage } from 'node:http';

import type { OnModuleDestroy } from '@nestjs/common';

import type { Clock } from '../time/clock.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import type { ClusterAnswers } from '../history/cluster-answers.js';
import { type DeliveryReport, type DeliveryResult, emptyReport } from '../wire/delivery-result.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import { encodeFrame } from '../wire/frame-encoding.js';
import { fanOut } from '../manager/fan-out.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import {
  isOwnPosition,
  isTopicPosition,
  NOWHERE,
  parsePosition,
  type Position,
  positioned,
} from '../history/position.js';
import type { ThreadKey } from '../history/history-key.js';
import {
  type EventHistory,
  type HistoryEvent,
  isFor,
  type RecordedEvent,
} from '../history/event-history.js';
import { type ReaderServices, HistoryReader } from './history-reader.js';

/** The query parameter of the upgrade request in which a client sends its last position. */
const PARAMETER = 'resume';

/**
 * The path of a thread's events when `resume` is on: an event is recorded in the history, and sent to each connection
 * in the order of the thread.
 */
export class Resume implements OnModuleDestroy {
  readonly #readers = new Map<WebSocketManager, HistoryReader<ThreadKey>>();
  readonly #host: ReaderServices<ThreadKey>;

  constructor(
    readonly history: EventHistory<ThreadKey>,
    clock: Clock,
    journal: Journal,
    private readonly factory: WebSocketManagerFactory,
  ) {
    this.#host = {
      history,
      clock,
      newcomer: (thread) => history.readCritical(thread),
      tell: ({ manager }, status, position, missed) => {
        const body = encodeFrame('resume', { status, ...(missed !== undefined && { missed }) })!;
        manager.sendFrame(positioned(body, position));
      },
      gap: ({ context }) => journal.record('resume-gap', { subject: subjectOf(context) }),
      failed: ({ manager }, error) =>
        journal.record('resume-failed', { subject: subjectOf(manager.context), error }),
    };
    history.useListener({
      recorded: (thread, epoch, event) => this.#deliver(thread, epoch, event),
      doubtful: (thread) => this.#checkAgain(thread),
    });
    factory.bookkeeping.useCriticalRecorder((manager, body) => this.#recordCritical(manager, body));
  }

  /** Number of connections that have a position in their thread. */
  get readers(): number {
    return this.#readers.size;
  }

  /** @throws {IsolationViolationError} when the request names a position of another user */
  assertOwn(context: UserExecutionContext, request: IncomingMessage): void {
    const requested = requestedPosition(request);
    if (!requested || requested === NOWHERE || isOwnPosition(requested, context.userId)) return;
    // A client that keeps the position of every frame may send that of a topic by mistake: it gets a gap.
    if (isTopicPosition(requested)) return;
    throw this.factory.violation(context, 'This position belongs to another user');
  }

  /**
   * The epoch of the position that a request names, if it has been sealed by this server or another node: the client
   * comes back to a thread. `undefined` for any other request. Says nothing about who the client is.
   */
  returningTo(request: IncomingMessage): string | undefined {
    const requested = requestedPosition(request);
    if (!requested || requested === NOWHERE) return undefined;
    return this.history.seal?.isSealed(requested.epoch) ? requested.epoch : undefined;
  }

  /** A connection arrives. Events of its thread are kept in the history until {@link start}. */
  enter(manager: WebSocketManager, request: IncomingMessage): void {
    if (!manager.isActive) return;
    const release = this.history.open(manager.context);
    const requested = requestedPosition(request);
    const { context } = manager;
    const reader = new HistoryReader(this.#host, manager, context, requested, release);
    this.#readers.set(manager, reader);
  }

  /** The connection is ready: its guards have admitted it. */
  start(manager: WebSocketManager): void {
    this.#readers.get(manager)?.start();
    // Questions to the thread have no offset: they are asked, not replayed.
    manager.cameBack();
  }

  leave(manager: WebSocketManager): void {
    this.#readers.get(manager)?.leave();
    this.#readers.delete(manager);
  }

  /**
   * Records an event of a thread, and sends it to the connections on this node. Returns `undefined` when the event is
   * not critical, and no connection has the thread open or had it open within the window.
   */
  publish(thread: ThreadKey, event: HistoryEvent): DeliveryReport | undefined {
    const outcome = this.history.append(thread, event);
    if (outcome === 'unwanted') return undefined;
    if (outcome !== 'on-its-way') return outcome;
    return { ...emptyReport(), queued: this.#managersOf(thread).length };
  }

  /** As {@link publish}; resolves to the reports of all nodes. `undefined` when there are no other nodes. */
  publishAndReport(
    thread: ThreadKey,
    event: HistoryEvent,
  ): Promise<ClusterAnswers<DeliveryReport>> | undefined {
    return this.history.appendAndReport?.(thread, event);
  }

  onModuleDestroy(): void {
    for (const reader of this.#readers.values()) reader.leave();
    this.#readers.clear();
    this.history.dispose();
  }

  #recordCritical(manager: WebSocketManager, body: string): DeliveryResult {
    const { context } = manager;
    const event = { body, isCritical: true, onlyFor: context.connectionId };
    return this.publish(context, event)?.sent === 1 ? 'sent' : 'queued';
  }

  #managersOf({ userId, threadId }: ThreadKey): WebSocketManager[] {
    return this.factory.managersOfThread(userId, threadId);
  }

  #checkAgain(thread: ThreadKey): void {
    for (const manager of this.#managersOf(thread)) this.#readers.get(manager)?.checkAgain();
  }

  #deliver(thread: ThreadKey, epoch: string, event: RecordedEvent): DeliveryReport {
    const managers = this.#managersOf(thread);
    const at = { epoch, offset: event.offset };
    const { clock } = this.#host;
    return fanOut(managers, positioned(event.body, at), clock, (manager, frame, write) => {
      const reader = this.#readers.get(manager);
      if (reader) return reader.hear(at, event, frame, write);
      // A manager that was created without a gateway has no connect hooks to wait for, and no client that resumes.
      return isFor(event, manager.context) ? write(manager, frame) : undefined;
    });
  }
}

function requestedPosition({ url = '' }: IncomingMessage): Position | undefined {
  const start = url.indexOf('?');
  if (start === -1 || !url.includes(PARAMETER, start)) return undefined;
  const text = new URLSearchParams(url.slice(start + 1)).get(PARAMETER);
  return text === null ? undefined : (parsePosition(text) ?? NOWHERE);
}
