import type { Calls } from './calls.js';
import { ClientError, type Report } from './client.error.js';
import { contain, type Off } from './listeners.js';
import { encode, type ServerMessage } from './message.js';

/** Who has come and gone, and how many users there are now. In a topic with many users, the lists are empty. */
export interface PresenceChange {
  readonly joined: readonly string[];
  readonly left: readonly string[];
  readonly count: number;
}

/** What becomes of a subscription. */
export interface SubscriptionHooks {
  /**
   * The server has admitted the client, for the first time or after it has come back. From now on all that is sent to
   * the topic arrives: now ask for the state of the topic, such as who is in it.
   */
  readonly onSubscribed?: () => unknown;
  /**
   * The server has refused the subscription, or ended it: it is over, and not asked for again. Without this function,
   * the error goes to `onError()`.
   */
  readonly onEnd?: (error: ClientError) => unknown;
}

/** What one call of `subscribe()` or `presence()` has asked for. */
interface Subscriber {
  readonly hooks: SubscriptionHooks;
  tell(message: ServerMessage): unknown;
}

/** A topic to be in. */
interface Topic {
  readonly name: string;
  readonly subscribers: Set<Subscriber>;
  /** Whether this connection is a member, and whether one of this client has ever been. */
  isMember: boolean;
  wasMember: boolean;
  /** The position of the latest message, where the server keeps a history. */
  position: string | undefined;
}

/** Codes of a connection that ends. The subscription is asked for again over the next one. */
const PASSING = /^(CLOSED|CONNECTION_LOST|CLOSING|RATE_LIMITED|TOO_MANY_PENDING)$/;

/** The topics of the client. It subscribes to them again over each new connection. */
export class Topics {
  readonly #topics = new Map<unknown, Topic>();
  #closed: ClientError | undefined;

  constructor(
    private readonly calls: Calls,
    private readonly write: (text: string) => boolean,
    private readonly report: Report,
    /** Messages of a topic may be missing. */
    private readonly gap: (topic: string) => void,
  ) {}

  /** @param tell gets all messages of the topic */
  subscribe(name: string, tell: Subscriber['tell'], hooks: SubscriptionHooks): Off {
    const existing = this.#topics.get(name);
    const topic = existing ?? this.#create(name);
    const subscriber = { tell, hooks };
    topic.subscribers.add(subscriber);
    if (this.#closed) this.#over(topic, this.#closed);
    else if (!existing) this.#ask(topic);
    // As for the first one: not before the caller has the function that takes it back.
    else if (topic.isMember) queueMicrotask(() => this.#joined(topic, [subscriber]));
    return () => {
      const { subscribers } = topic;
      const isLast = subscribers.delete(subscriber) && subscribers.size === 0;
      if (!isLast || !this.#isCurrent(topic)) return;
      this.#topics.delete(name);
      this.write(encode({ event: 'unsubscribe', data: { topic: name } }));
    };
  }

  /** There is a new connection. @param settled called when the server has replied for all topics, or is gone */
  opened(settled: () => void): void {
    // This call counts as one more: `settled` is called when all are asked for, and at once without topics.
    let open = this.#topics.size + 1;
    const replied = (): void => {
      open -= 1;
      if (open === 0) settled();
    };
    for (const topic of this.#topics.values()) this.#ask(topic, replied);
    replied();
  }

  /** The connection has ended. */
  lost(): void {
    for (const topic of this.#topics.values()) topic.isMember = false;
  }

  /** Hands a message to the subscribers of its topic. */
  received(message: ServerMessage): void {
    if (message.event === 'unsubscribed') this.#unsubscribed(message.data);
    const topic = this.#topics.get(message.topic);
    if (!topic) return;
    for (const each of Array.from(topic.subscribers)) {
      void contain(() => each.tell(message), this.report);
    }
    // After the listeners: a message whose listeners were interrupted arrives again.
    topic.position = message.position ?? topic.position;
  }

  close(error: ClientError): void {
    this.#closed = error;
    this.#topics.clear();
  }

  #create(name: string): Topic {
    const topic: Topic = {
      name,
      subscribers: new Set(),
      isMember: false,
      wasMember: false,
      position: undefined,
    };
    this.#topics.set(name, topic);
    return topic;
  }

  // A topic that was left and entered again is another one.
  #isCurrent(topic: Topic): boolean {
    return this.#topics.get(topic.name) === topic;
  }

  #ask(topic: Topic, replied?: () => void): void {
    const { name, position } = topic;
    this.calls.start(
      'subscribe',
      { topic: name, position },
      {
        kind: 'bound',
        value: (data) => {
          this.#subscribed(topic, (data as { position?: string }).position);
          replied?.();
        },
        end: (error) => {
          if (error && !PASSING.test(error.code)) this.#over(topic, error);
          replied?.();
        },
      },
    );
  }

  #subscribed(topic: Topic, position: string | undefined): void {
    if (!this.#isCurrent(topic)) return;
    // Without a history, nothing brings back what was sent meanwhile.
    const isGap = topic.wasMember && position === undefined;
    topic.isMember = topic.wasMember = true;
    topic.position = position;
    if (isGap) this.gap(topic.name);
    this.#joined(topic, topic.subscribers);
  }

  #joined({ subscribers }: Topic, told: Iterable<Subscriber>): void {
    for (const each of Array.from(told)) {
      if (subscribers.has(each)) void contain(() => each.hooks.onSubscribed?.(), this.report);
    }
  }

  // Without a reason, it is the reply to this client.
  #unsubscribed(data: unknown): void {
    const { topic: name, reason } = (data ?? {}) as { topic?: string; reason?: string };
    const topic = this.#topics.get(name);
    if (!topic || reason === undefined) return;
    this.#over(topic, new ClientError('UNSUBSCRIBED', `The subscription has ended: ${reason}.`));
  }

  #over(topic: Topic, { code, message, data }: ClientError): void {
    if (!this.#isCurrent(topic)) return;
    this.#topics.delete(topic.name);
    const error = new ClientError(code, message, { data, topic: topic.name });
    for (const { hooks } of topic.subscribers) {
      const { onEnd = this.report } = hooks;
      void contain(() => onEnd(error), this.report);
    }
  }
}
