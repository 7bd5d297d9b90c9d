import type { ClusterTopics } from '../../src/cluster/cluster-topics.js';
import type { WebSocketIsolationOptions } from '../../src/config/isolation.options.js';
import { Tracing } from '../../src/monitoring/tracing.js';
import { WebSocketEmitter } from '../../src/delivery/websocket.emitter.js';
import type { EventHistory } from '../../src/history/event-history.js';
import type { TopicKey } from '../../src/history/history-key.js';
import { MemoryHistory } from '../../src/history/memory-history.js';
import type { WebSocketManager } from '../../src/manager/web-socket-manager.js';
import type { TopicAuthorization } from '../../src/topics/topic-authorization.js';
import { TopicHistories } from '../../src/topics/topic-histories.js';
import { TopicPresence } from '../../src/topics/topic-presence.js';
import { TopicRequests } from '../../src/topics/topic-requests.js';
import { Topics } from '../../src/topics/topics.service.js';
import { Fleet } from './fleet.js';

/** A frame that a connection has received. */
export interface TopicFrame {
  readonly event: string;
  readonly id?: number;
  readonly topic?: string;
  readonly position?: string;
  readonly data?: FrameData;
}

interface FrameData {
  readonly id?: number;
  readonly code?: string;
  readonly topic?: string;
  readonly position?: string;
  readonly joined?: readonly string[];
  readonly left?: readonly string[];
}

/** What the test decides: when the cluster knows of a member, when a history is read, and what the authorizer answers. */
export interface Decisions {
  /** Resolves when the cluster knows. Without it, there is no cluster. */
  readonly known?: () => Promise<void>;
  /** Resolves when a history may be read. Without it, at once. */
  readonly readable?: () => Promise<void>;
  readonly authorize?: TopicAuthorization['ask'];
  /** Whether identities can be renewed. */
  readonly canRenew?: boolean;
}

/** Topics on a {@link Fleet}: with real managers, and without a server. */
export class TopicFleet {
  readonly fleet: Fleet;
  readonly memory: MemoryHistory<TopicKey> | undefined;
  readonly topics: Topics;
  readonly requests: TopicRequests;
  readonly presence: TopicPresence;
  readonly emitter: WebSocketEmitter;
  readonly #read = new Map<WebSocketManager, number>();
  #ids = 0;

  constructor(
    options: NonNullable<WebSocketIsolationOptions['topics']> = {},
    private readonly decisions: Decisions = {},
  ) {
    this.fleet = new Fleet({ topics: options });
    const { clock, journal, registry, factory, options: resolved } = this.fleet;
    const { history } = resolved.topics;
    const bounds = history && Object.assign({}, history, { maxHistories: history.maxTopics });
    this.memory = bounds && new MemoryHistory<TopicKey>(bounds, clock);
    const histories = this.memory && new TopicHistories(this.#slow(this.memory), clock, journal);
    const cluster = decisions.known && this.#cluster(decisions.known);
    this.topics = new Topics(resolved.topics, clock, journal, registry, histories, cluster);
    factory.bookkeeping.useTopics(this.topics);
    const authorization = {
      ask: decisions.authorize ?? ((): object => ({})),
    } as TopicAuthorization;
    this.requests = new TopicRequests(
      this.topics,
      authorization,
      resolved,
      clock,
      journal,
      decisions.canRenew,
    );
    this.presence = new TopicPresence(this.topics, factory);
    this.emitter = new WebSocketEmitter(factory, clock, this.topics, registry, new Tracing());
  }

  /** A client asks for a topic. Returns the id of the request. */
  subscribe(manager: WebSocketManager, topic: unknown, position?: string): number {
    return this.#ask(manager, 'subscribe', { topic, position });
  }

  /** A client leaves a topic. Returns the id of the request. */
  unsubscribe(manager: WebSocketManager, topic: unknown): number {
    return this.#ask(manager, 'unsubscribe', { topic });
  }

  /** The identity of a connection gets other metadata. */
  renew(manager: WebSocketManager, metadata: Record<string, unknown>): void {
    const { identity } = manager;
    const { userId, threadId } = identity;
    const renewed = identity.renewed({ userId, threadId, metadata }, this.fleet.clock.epoch());
    manager.replaceIdentity(renewed!);
    this.requests.review(manager);
  }

  /** All frames that a connection has received. */
  framesOf(manager: WebSocketManager): TopicFrame[] {
    return this.fleet.socketOf(manager).sent.map((text) => JSON.parse(text) as TopicFrame);
  }

  /** The frames that a connection has received since the last call. */
  newFramesOf(manager: WebSocketManager): TopicFrame[] {
    const { sent } = this.fleet.socketOf(manager);
    const from = this.#read.get(manager) ?? 0;
    this.#read.set(manager, sent.length);
    return sent.slice(from).map((text) => JSON.parse(text) as TopicFrame);
  }

  /** The codes and events with which a request was answered. */
  answersTo(manager: WebSocketManager, id: number): string[] {
    return this.framesOf(manager)
      .filter((frame) => frame.id === id || frame.data?.id === id)
      .map(({ event, data }) => (event === 'exception' ? (data?.code ?? '') : event));
  }

  /** What is left of topics; all zeros when nothing is. */
  get left(): Record<string, number> {
    const { topics, requests, memory, fleet } = this;
    const { size, memberships } = topics;
    const { pending } = requests;
    const timers = fleet.clock.pendingTimers;
    return { topics: size, memberships, pending, timers, histories: memory?.size ?? 0 };
  }

  #ask(manager: WebSocketManager, event: string, data: object): number {
    this.#ids += 1;
    void this.requests.handle(manager, { event, id: this.#ids, data });
    return this.#ids;
  }

  #slow(memory: MemoryHistory<TopicKey>): EventHistory<TopicKey> {
    const { readable } = this.decisions;
    return {
      useListener: (listener) => memory.useListener(listener),
      open: (key) => memory.open(key),
      append: (key, event) => memory.append(key, event),
      read: (key, after) =>
        readable ? readable().then(() => memory.read(key, after)) : memory.read(key, after),
      readCritical: (key) => memory.readCritical(key),
      dispose: () => memory.dispose(),
    };
  }

  // A cluster of one node, which knows of members late.
  #cluster(known: () => Promise<void>): ClusterTopics {
    return {
      useLocalTopics: () => undefined,
      changed: known,
      usersOf: (topic) => Promise.resolve(this.topics.usersOf(topic)),
      countOf: (topic) => Promise.resolve(this.topics.userCount(topic)),
      isOnline: () => Promise.resolve(false),
      async *onlineElsewhere() {},
    };
  }
}
