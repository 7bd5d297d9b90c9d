import type { ClusterState } from '../journal/isolation-events.js';

/** What a node says of its load with its heartbeats. Rates are means over about a quarter of a minute. */
export interface NodeLoad {
  readonly users: number;
  readonly openedPerMinute: number;
  readonly refusedPerMinute: number;
  readonly messagesPerSecond: number;
  /** Messages whose handler has failed. */
  readonly failedPerMinute: number;
  /** Share of the time in which the event loop was busy, 0 to 1. */
  readonly busy: number;
  readonly memoryBytes: number;
}

/** One process of the cluster. */
export interface ClusterNode {
  /** New at every start, never reused. */
  readonly nodeId: string;
  /** For people: host name and process id, unless the options set another name. */
  readonly name: string;
  /** Epoch milliseconds, by the node's own clock. */
  readonly startedAt: number;
  /** Connections that the node held at its last heartbeat. */
  readonly connections: number;
  readonly isDraining: boolean;
  /** Known of nodes that have the dashboard. */
  readonly load?: NodeLoad;
}

/** All reasons of {@link ClusterFailure}. */
export const CLUSTER_FAILURES = [
  'timeout',
  'connection',
  'denied',
  'error-reply',
  'unreadable',
  'backlog',
  'other',
] as const;

/**
 * Why a command to the cluster failed: no reply in time; no connection, or it was lost; the user lacks a right, or is
 * not known; another error as the reply; a reply that cannot be read; too many bytes wait to be sent.
 */
export type ClusterFailure = (typeof CLUSTER_FAILURES)[number];

/** The status of the cluster, as this process knows it. */
export interface ClusterStatus {
  readonly state: ClusterState;
  /** Epoch milliseconds at which the cluster entered this state. */
  readonly since: number;
  readonly nodeId: string;
  /** The nodes of the last heartbeat, this node included while its own heartbeat arrives. */
  readonly nodes: readonly ClusterNode[];
  readonly leases: {
    /** Counted on all nodes. */
    readonly held: number;
    /** Admitted while the cluster was away: counted on this process only, until the cluster is back. */
    readonly unleased: number;
  };
  /** Totals since the start. */
  readonly counters: {
    /** Commands that failed or timed out, by reason. */
    readonly failures: Readonly<Record<ClusterFailure, number>>;
    /** Leases lost to other connections; their own were closed with 4442. */
    readonly lost: number;
    /** Leases evicted for a newer connection; their own were closed with 4409. */
    readonly evicted: number;
    /** Leases put back after the cluster had lost them. */
    readonly restored: number;
    /** Entries of the cluster's store and messages of other nodes that could not be read and were ignored. */
    readonly unreadable: number;
  };
  /** Epoch milliseconds of the last successful renewal; 0 before the first. */
  readonly renewedAt: number;
  /** The message of the last failure. */
  readonly lastError?: string;
}
