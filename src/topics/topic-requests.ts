import type { ResolvedOptions } from '../config/isolation.options.js';
import { NOWHERE, type Position } from '../history/position.js';
import type { TopicRefusal } from '../journal/isolation-events.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Clock } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import { type InboundMessage, messageId } from '../wire/message-parser.js';
import { AuthorizerQuestions } from './authorizer-questions.js';
import type { Grant, TopicAuthorization } from './topic-authorization.js';
import type { WhenPlaced } from './topic-histories.js';
import { topicFault } from './topic-name.js';
import { positionIn, refuse, reply, subscribed, type TopicRequest } from './topic-replies.js';
import { TopicReviews } from './topic-reviews.js';
import { TopicLimitError } from './topic.errors.js';
import type { Topics } from './topics.service.js';

/** The events with which clients join and leave topics themselves. */
const SUBSCRIBE = 'subscribe';
const UNSUBSCRIBE = 'unsubscribe';

const FULL =
  'This connection has reached its maximum number of topics. Unsubscribe from one first.';

const NONE: readonly TopicRequest[] = Object.freeze([]);

/** A request whose topic may be no name. */
type Refused = Omit<TopicRequest, 'topic'> & { readonly topic?: string };

/** A subscription that has no reply yet. It reserves a place in its connection. */
interface Subscription extends TopicRequest {
  readonly position: Position | undefined;
  /** Aborted when the client unsubscribes. */
  readonly revoked: AbortController;
}

/** Joins and leaves topics on behalf of clients. Each request gets one reply. */
export class TopicRequests {
  // Also those that the client has revoked while the authorizer still thinks: their number is bounded with the others.
  readonly #pending = new Map<WebSocketManager, Set<Subscription>>();
  /** How many subscriptions were refused, by the code of the reply. */
  readonly refusals: Record<TopicRefusal, number> = {
    TOPIC_FORBIDDEN: 0,
    TOPIC_LIMIT: 0,
    INVALID_TOPIC: 0,
    INTERNAL_ERROR: 0,
  };

  readonly #questions: AuthorizerQuestions;
  readonly #reviews: TopicReviews | undefined;

  /** @param canRenew whether identities can be renewed */
  constructor(
    private readonly topics: Topics,
    authorization: TopicAuthorization,
    private readonly options: Pick<ResolvedOptions, 'handshake' | 'topics'>,
    private readonly clock: Clock,
    private readonly journal: Journal,
    canRenew = false,
  ) {
    const { timeoutMs } = options.handshake;
    this.#questions = new AuthorizerQuestions(authorization, timeoutMs, clock, journal);
    if (canRenew) this.#reviews = new TopicReviews(topics, this.#questions);
    topics.useSubscriptions((manager, topic) => this.#revoke(manager, topic));
  }

  /** Subscriptions that have no reply yet. */
  get pending(): number {
    let sum = 0;
    for (const subscriptions of this.#pending.values()) sum += subscriptions.size;
    return sum;
  }

  /** Whether this handles an event. The app's own handler goes first, unless the app has set an authorizer. */
  takes(event: unknown, hasHandler: boolean): boolean {
    if (event !== SUBSCRIBE && event !== UNSUBSCRIBE) return false;
    return !hasHandler || this.options.topics.authorizer !== undefined;
  }

  /** Resolves when a subscription has its reply; never rejects. Returns `undefined` where the reply is sent already. */
  handle(manager: WebSocketManager, message: InboundMessage): Promise<void> | undefined {
    const id = messageId(message);
    const { topic } = (message.data ?? {}) as { topic?: unknown };
    const fault = topicFault(topic);
    if (fault !== undefined) {
      const text = `The name of a topic ${fault}.`;
      if (message.event === SUBSCRIBE) this.#refuse({ manager, id }, 'INVALID_TOPIC', text);
      else refuse(manager, 'INVALID_TOPIC', text, id);
      return undefined;
    }
    const request: TopicRequest = { manager, id, topic: topic as string };
    if (message.event === SUBSCRIBE) return this.#subscribe(request, positionIn(message.data));
    this.#unsubscribe(request);
    return undefined;
  }

  /** The connection is closing: its subscriptions get no reply from here any more. Returns those without one. */
  closing(manager: WebSocketManager): Iterable<TopicRequest> {
    const pending = this.#pending.get(manager);
    this.#pending.delete(manager);
    return pending ?? NONE;
  }

  /** Ends memberships whose grants have expired. Called before each message, and by the heartbeat. */
  checkGrants(manager: WebSocketManager): void {
    this.topics.checkGrants(manager);
  }

  /** The identity of a connection has other metadata now: the authorizer is asked again for its topics. */
  review(manager: WebSocketManager): void {
    this.#reviews?.review(manager);
  }

  // The connection leaves the topic before its subscription has a reply.
  #revoke(manager: WebSocketManager, topic: string): void {
    if (this.#pending.size === 0) return;
    for (const pending of this.#pending.get(manager) ?? []) {
      if (pending.topic === topic) pending.revoked.abort(new Error('the subscription was revoked'));
    }
  }

  #unsubscribe({ manager, id, topic }: TopicRequest): void {
    this.topics.leave(manager, topic, 'unsubscribed');
    reply(manager, 'unsubscribed', id, { topic });
  }

  async #subscribe(request: TopicRequest, position: Position | undefined): Promise<void> {
    const subscription = this.#reserve(request, position);
    if (!subscription) return;
    const { manager, topic, revoked } = subscription;
    try {
      let metadata: unknown;
      let grant: Grant | undefined;
      do {
        ({ metadata } = manager);
        grant = await this.#questions.ask(manager, topic, revoked.signal);
        // A renewal with other metadata may have come meanwhile: then this answer is for the old one. No `await` between
        // here and the join: a renewal that lands there would find no membership to review, and leave an old grant.
      } while (manager.metadata !== metadata && !this.#isOver(subscription));
      if (grant && !this.#isOver(subscription)) await this.#admit(subscription, grant);
      else this.#forbid(subscription);
    } catch (error) {
      this.#rejected(subscription, error);
    } finally {
      this.#release(subscription);
    }
  }

  // A member whose position is not known in time gets its reply without it, or all that its client sends would wait.
  async #admit(subscription: Subscription, grant: Grant): Promise<void> {
    const { timeoutMs } = this.options.handshake;
    const joined = this.#join(subscription, grant);
    if ((await withDeadline(this.clock, timeoutMs, joined)) !== TIMED_OUT) return;
    this.#answer(subscription, this.topics.histories && (subscription.position ?? NOWHERE));
  }

  // Resolves when the reply is sent.
  #join(subscription: Subscription, grant: Grant): Promise<void> {
    const { manager, topic, position } = subscription;
    const granted = { ...grant, isGranted: this.#reviews !== undefined };
    if (this.topics.histories) {
      return new Promise((done, failed) => {
        // The reply goes first, and the events after it.
        const placed: WhenPlaced = (at) => {
          done();
          return this.#answer(subscription, at);
        };
        const joining = { ...granted, position, placed };
        this.topics.join(manager, topic, joining).catch(failed);
      });
    }
    const joined = this.topics.join(manager, topic, granted);
    const outcome = (): 'left' | undefined => (this.#isMember(subscription) ? undefined : 'left');
    return joined.then(() => void this.#answer(subscription, outcome()));
  }

  // Returns whether this was the reply.
  #answer(subscription: Subscription, at: Position | 'left' | undefined): boolean {
    if (at === 'left' || this.#isOver(subscription)) return this.#forbid(subscription);
    if (!this.#release(subscription)) return false;
    subscribed(subscription, at);
    return true;
  }

  #isOver({ manager, revoked }: Subscription): boolean {
    return !manager.isActive || revoked.signal.aborted;
  }

  #isMember({ manager, topic }: TopicRequest): boolean {
    return this.topics.get(topic)?.members.has(manager) === true;
  }

  // Before the first `await`: subscriptions under way count too.
  #reserve(request: TopicRequest, position: Position | undefined): Subscription | undefined {
    const { manager, topic } = request;
    const pending = this.#pending.get(manager) ?? new Set<Subscription>();
    const others = [...pending];
    if (others.some((other) => other.topic === topic && !other.revoked.signal.aborted)) {
      this.#refuse(request, 'TOPIC_FORBIDDEN', 'This topic is being subscribed to already.');
      return undefined;
    }
    try {
      // A topic that the connection is in has its place.
      const reserved = others.filter((other) => !this.#isMember(other)).length;
      if (!this.#isMember(request)) this.topics.assertRoom(manager, reserved);
    } catch {
      this.#refuse(request, 'TOPIC_LIMIT', FULL);
      return undefined;
    }
    const subscription = { ...request, position, revoked: new AbortController() };
    this.#pending.set(manager, pending.add(subscription));
    return subscription;
  }

  // Before the reply. Returns whether the subscription has none yet: the caller then sends the only one.
  #release(subscription: Subscription): boolean {
    const { manager } = subscription;
    const pending = this.#pending.get(manager);
    const isOpen = pending?.delete(subscription) === true;
    if (pending?.size === 0) this.#pending.delete(manager);
    return isOpen;
  }

  #rejected(subscription: Subscription, error: unknown): void {
    const isFull = error instanceof TopicLimitError;
    if (!isFull) this.#questions.failed(subscription.manager, error);
    if (!this.#release(subscription)) return;
    if (isFull) this.#refuse(subscription, 'TOPIC_LIMIT', FULL);
    else this.#refuse(subscription, 'INTERNAL_ERROR', 'Internal server error');
  }

  #forbid(subscription: Subscription): boolean {
    // A connection that closes refuses what is open itself: see `closing()`.
    if (!subscription.manager.isActive || !this.#release(subscription)) return false;
    const text = 'This connection may not subscribe to this topic.';
    this.#refuse(subscription, 'TOPIC_FORBIDDEN', text);
    return true;
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
}
