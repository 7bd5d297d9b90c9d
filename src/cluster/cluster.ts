import type { Clock } from '../time/clock.js';
import type { IsolationEventName, IsolationEvents } from '../journal/isolation-events.js';
import type { HistoryBounds, ThreadHistory } from '../history/thread-history.js';
import type { ClusterDelivery } from './cluster-delivery.js';
import type { ClusterSlots } from './cluster-slots.js';
import type { ClusterStatus } from './cluster-status.js';

/** Where a cluster says what happens to it: an event, and a line in the log. */
export interface ClusterJournal {
  record<Name extends IsolationEventName>(name: Name, details: IsolationEvents[Name]): void;
}

/** What a cluster may use of the process it runs in. */
export interface ClusterServices {
  readonly clock: Clock;
  readonly journal: ClusterJournal;
}

/** How to make the cluster: what `forRoot({ cluster })` takes, for example `redisCluster({ url })`. */
export interface ClusterDefinition {
  /** Makes this process's membership. Nothing is connected and no timer runs before {@link Cluster.join}. */
  create(host: ClusterServices): Cluster;
}

/** This process's membership in a cluster. Without one, every process counts for itself. */
export interface Cluster {
  /** New at every start, never used again. */
  readonly nodeId: string;
  readonly slots: ClusterSlots;
  readonly delivery: ClusterDelivery;
  /** Keeps the events of threads where every node can read them. Called once at most. */
  createHistory(bounds: HistoryBounds): ThreadHistory;
  /**
   * Connects. Resolves when the cluster answers, or after a short time without it: an application starts
   * whether or not the cluster is there.
   */
  join(): Promise<void>;
  /** The process is going away: its slots are given back at once, while its connections still say goodbye. Bounded. */
  drain(): Promise<void>;
  /** Disconnects, stops all timers. Bounded. */
  leave(): Promise<void>;
  /** How things stand, at this instant. */
  status(): ClusterStatus;
}

/** Injection token of the {@link Cluster}; `undefined` where there is none. */
export const CLUSTER: unique symbol = Symbol('websocket-isolation:cluster');
