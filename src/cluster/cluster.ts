import type { Clock } from '../time/clock.js';
import type { IsolationEventName, IsolationEvents } from '../journal/isolation-events.js';
import type { EventHistory, HistoryBounds, TotalBounds } from '../history/event-history.js';
import type { ThreadKey, TopicKey } from '../history/history-key.js';
import type { ClusterAsks } from './cluster-asks.js';
import type { ClusterDelivery } from './cluster-delivery.js';
import type { ClusterSlots } from './cluster-slots.js';
import type { ClusterTopics } from './cluster-topics.js';
import type { Unplug } from '../structures/plug.js';
import type { ClusterStatus, NodeLoad } from './cluster-status.js';

/** Records what happens to a cluster: an event, and a line in the log. */
export interface ClusterJournal {
  record<Name extends IsolationEventName>(name: Name, details: IsolationEvents[Name]): void;
}

/** The services of the process that a cluster may use. */
export interface ClusterServices {
  readonly clock: Clock;
  readonly journal: ClusterJournal;
}

/** Makes the cluster: the value for `forRoot({ cluster })`, for example `redisCluster({ url })`. */
export interface ClusterDefinition {
  /** Makes this process's membership. Opens no connection and starts no timer before {@link Cluster.join}. */
  create(host: ClusterServices): Cluster;
}

/** What the other nodes learn of this one. */
export interface ClusterMembership {
  /** A plug: measures the load of this node, at each heartbeat. */
  useLoad(measure: () => NodeLoad): Unplug;
}

/** This process's membership in a cluster. Without a cluster, every process counts its own connections only. */
export interface Cluster {
  /** New at every start, never reused. */
  readonly nodeId: string;
  readonly slots: ClusterSlots;
  readonly delivery: ClusterDelivery;
  /** Without it, topics exist on each node by itself. */
  readonly topics?: ClusterTopics;
  /** Without it, questions to users and threads reach the connections of this process only. */
  readonly asks?: ClusterAsks;
  /** Without it, the other nodes do not know the load of this one. */
  readonly membership?: ClusterMembership;
  /** Makes a history of threads that every node can read. Called once at most. */
  createHistory(bounds: HistoryBounds): EventHistory<ThreadKey>;
  /** Makes a history of topics that every node can read. Called once at most. Without it, topics have none. */
  createTopicHistory?(bounds: TotalBounds): EventHistory<TopicKey>;
  /**
   * Connects. Resolves when the cluster responds, or after a short time without a response: an application starts
   * whether or not the cluster is available.
   */
  join(): Promise<void>;
  /** The process shuts down: gives its slots back at once, while its connections are still closing. Bounded in time. */
  drain(): Promise<void>;
  /** Disconnects and stops all timers. Bounded in time. */
  leave(): Promise<void>;
  /** The status at this instant. */
  status(): ClusterStatus;
}

/** Injection token of the {@link Cluster}; `undefined` where no cluster is set. */
export const CLUSTER: unique symbol = Symbol('websocket-isolation:cluster');
