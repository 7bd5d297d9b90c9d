import type { ClusterState } from '../journal/isolation-events.js';

/** One process of the cluster. */
export interface ClusterNode {
  /** New at every start, never used again. */
  readonly nodeId: string;
  /** For people: host name and process id, unless the options say otherwise. */
  readonly name: string;
  /** Epoch milliseconds, by the node's own clock. */
  readonly startedAt: number;
  /** Connections it held when it was last heard of. */
  readonly connections: number;
  readonly isDraining: boolean;
}

/** How a cluster stands, as this process knows it. */
export interface ClusterStatus {
  readonly state: ClusterState;
  /** Epoch milliseconds since when it is in this state. */
  readonly since: number;
  readonly nodeId: string;
  /** The nodes last heard of, this one included while it is heard. */
  readonly nodes: readonly ClusterNode[];
  readonly leases: {
    /** Counted everywhere. */
    readonly held: number;
    /** Let in while the cluster was away: counted here only, until it is back. */
    readonly unleased: number;
  };
  /** What happened since the start. */
  readonly counters: {
    /** Commands that failed or were not answered in time. */
    readonly failures: number;
    /** Leases lost to others and closed with 4442. */
    readonly lost: number;
    /** Leases that made room for a newer connection, 4409. */
    readonly evicted: number;
    /** Leases put back after the cluster had lost them. */
    readonly restored: number;
    /** What was in the cluster's store or came from other nodes and could not be read: ignored. */
    readonly unreadable: number;
  };
  /** Epoch milliseconds of the last renewal that went through; 0 before the first. */
  readonly renewedAt: number;
  /** The last failure's message. */
  readonly lastError?: string;
}
