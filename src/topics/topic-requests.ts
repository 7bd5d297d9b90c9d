import type { ResolvedOptions } from '../config/isolation.options.js';
import { isClientFault } from '../errors/http-status.js';
import { exceptionReply, MessageRefusedError } from '../handlers/exception-reply.js';
import { formatPosition, NOWHERE, parsePosition, type Position } from '../history/position.js';
import type { TopicRefusal } from '../journal/isolation-events.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Clock } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import { encodeFrame } from '../wire/frame-encoding.js';
import { type InboundMessage, messageId } from '../wire/message-parser.js';
import type { Grant, TopicAuthorization } from './topic-authorization.js';
import { topicFault } from './topic-name.js';
import type { Topics } from './topics.service.js';

/** The events with which clients join and leave topics themselves. */
const SUBSCRIBE = 'subscribe';
const UNSUBSCRIBE = 'unsubscribe';

interface Request {
  readonly manager: WebSocketManager;
  readonly id: string | number | undefined;
  readonly topic: string;
}

/** A request whose topic may be no name. */
type Refused = Omit<Request, 'topic'> & { readonly topic?: string };

/** Joins and leaves topics on behalf of clients. Each request gets one reply. */
export class TopicRequests {
  // The requests that wait for the authorizer, by connection and topic: each reserves a place in its connection.
  readonly #pending = new Map<WebSocketManager, Map<string, AbortController>>();
  /** How many subscriptions were refused, by the code of the reply. */
  readonly refusals: Record<TopicRefusal, number> = {
    TOPIC_FORBIDDEN: 0,
    TOPIC_LIMIT: 0,
    INVALID_TOPIC: 0,
    INTERNAL_ERROR: 0,
  };

  constructor(
    private readonly topics: Topics,
    private readonly authorization: TopicAuthorization,
    private readonly options: Pick<ResolvedOptions, 'handshake' | 'topics'>,
    private readonly clock: Clock,
    private readonly journal: Journal,
  ) {}

  /** Requests that wait for the authorizer. */
  get pending(): number {
    let sum = 0;
    for (const byTopic of this.#pending.values()) sum += byTopic.size;
    return sum;
  }

  /** Whether this handles an event. The app's own handler goes first, unless the app has set an authorizer. */
  takes(event: unknown, hasHandler: boolean): boolean {
    if (event !== SUBSCRIBE && event !== UNSUBSCRIBE) return false;
    return !hasHandler || this.options.topics.authorizer !== undefined;
  }

  handle(manager: WebSocketManager, message: InboundMessage): void {
    const id = messageId(message);
    const { topic } = (message.data ?? {}) as { topic?: unknown };
    const fault = topicFault(topic);
    if (fault !== undefined) {
      const text = `The name of a topic ${fault}.`;
      if (message.event === SUBSCRIBE) this.#refuse({ manager, id }, 'INVALID_TOPIC', text);
      else refuse(manager, 'INVALID_TOPIC', text, id);
      return;
    }
    const request: Request = { manager, id, topic: topic as string };
    if (message.event === UNSUBSCRIBE) this.#unsubscribe(request);
    else void this.#subscribe(request, positionIn(message.data));
  }

  #unsubscribe({ manager, id, topic }: Request): void {
    this.#pending.get(manager)?.get(topic)?.abort(new Error('the client unsubscribed'));
    this.topics.leave(manager, topic, 'unsubscribed');
    reply(manager, 'unsubscribed', id, { topic });
  }

  async #subscribe(request: Request, position: Position | undefined): Promise<void> {
    const { manager, topic } = request;
    const asking = this.#reserve(request);
    if (!asking) return;
    let grant: Grant | undefined;
    try {
      grant = await this.#ask(request, asking);
    } finally {
      this.#release(request, asking);
    }
    if (!manager.isActive) return;
    if (!grant || asking.signal.aborted) {
      const text = 'This connection may not subscribe to this topic.';
      return this.#refuse(request, 'TOPIC_FORBIDDEN', text);
    }
    try {
      const placed = (at: Position): void => subscribed(request, at);
      const hasHistory = this.options.topics.history !== undefined;
      await this.topics.join(manager, topic, {
        presence: grant.presence,
        expiresAtMs: grant.expiresAtMs,
        ...(hasHistory && { position, placed }),
      });
      if (!hasHistory) subscribed(request, undefined);
    } catch (error) {
      this.#failed(request, error);
      this.#refuse(request, 'INTERNAL_ERROR', 'Internal server error');
    }
  }

  // Before the first `await`: requests under way count too.
  #reserve(request: Request): AbortController | undefined {
    const { manager, topic } = request;
    const waiting = this.#pending.get(manager) ?? new Map<string, AbortController>();
    if (waiting.has(topic)) {
      this.#refuse(request, 'TOPIC_FORBIDDEN', 'This topic is being subscribed to already.');
      return undefined;
    }
    if (!this.topics.get(topic)?.members.has(manager)) {
      try {
        this.topics.assertRoom(manager, waiting.size);
      } catch (error) {
        this.#refuse(request, 'TOPIC_LIMIT', (error as Error).message);
        return undefined;
      }
    }
    const asking = new AbortController();
    waiting.set(topic, asking);
    this.#pending.set(manager, waiting);
    return asking;
  }

  #release({ manager, topic }: Request, asking: AbortController): void {
    const waiting = this.#pending.get(manager);
    if (waiting?.get(topic) !== asking) return;
    waiting.delete(topic);
    if (waiting.size === 0) this.#pending.delete(manager);
  }

  async #ask(request: Request, asking: AbortController): Promise<Grant | undefined> {
    const { manager, topic } = request;
    const late = new AbortController();
    const signal = AbortSignal.any([asking.signal, manager.signal, late.signal]);
    const { timeoutMs } = this.options.handshake;
    try {
      const asked = Promise.resolve(this.authorization.ask(manager.context, topic, signal));
      const grant = await withDeadline(this.clock, timeoutMs, asked);
      if (grant !== TIMED_OUT) return grant;
      const error = new Error(`The authorizer of topics has not answered within ${timeoutMs} ms.`);
      this.#failed(request, error);
      late.abort(error);
    } catch (error) {
      // An exception of 4xx is an answer of the app, and no fault.
      if (!signal.aborted && !isClientFault(error)) this.#failed(request, error);
    }
    return undefined;
  }

  #refuse({ manager, id, topic }: Refused, code: TopicRefusal, text: string): void {
    this.refusals[code] += 1;
    if (this.journal.isHeard('topic-refused')) {
      const subject = subjectOf(manager.context);
      const named = topic !== undefined && { topic };
      this.journal.record('topic-refused', { subject, ...named, code });
    }
    refuse(manager, code, text, id);
  }

  #failed({ manager }: Request, error: unknown): void {
    manager.fail(error);
    const subject = subjectOf(manager.context);
    this.journal.record('hook-failed', { subject, hook: 'topics.authorizer', error });
  }
}

// A text that is no position, or a value of another type, is a position that is not known: the client gets a gap.
function positionIn(data: unknown): Position | undefined {
  const { position } = data as { position?: unknown };
  if (position === undefined || position === null) return undefined;
  return (typeof position === 'string' ? parsePosition(position) : undefined) ?? NOWHERE;
}

function subscribed({ manager, id, topic }: Request, at: Position | undefined): void {
  const position = at && formatPosition(at);
  reply(manager, 'subscribed', id, { topic, ...(position !== undefined && { position }) });
}

function refuse(
  manager: WebSocketManager,
  code: string,
  text: string,
  id: string | number | undefined,
): void {
  const frame = encodeFrame('exception', exceptionReply(new MessageRefusedError(code, text), id));
  if (frame !== undefined) manager.sendFrame(frame);
}

function reply(
  manager: WebSocketManager,
  event: string,
  id: string | number | undefined,
  data: object,
): void {
  manager.sendFrame(JSON.stringify({ event, ...(id !== undefined && { id }), data }));
}
