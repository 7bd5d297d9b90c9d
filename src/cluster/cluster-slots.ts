/** The slots of users over all nodes. The limits of this process are checked before the cluster is asked. */
export interface ClusterSlots {
  /**
   * Monotonic milliseconds until which the leases of this process are certain. Past that, the process was frozen or has
   * not renewed them in time: other connections may have taken its slots.
   */
  readonly freshUntil: number;
  /** Calls `resume` once the leases held here are certain again. Traffic that is held twice is resumed once. */
  hold(held: HeldTraffic): void;
  /** A plug: sets the holder of the leases of this process. Filled before anything is leased. */
  useHolder(holder: SlotHolder): void;
  /** Asks for a slot. Returns the lease at once, so that it can be released before the answer has arrived. */
  lease(userId: string, connectionId: string): ClusterLease;
  /** How many slots a user holds on all nodes; `undefined` while that is not known. Never rejects. */
  heldBy?(userId: string): Promise<number | undefined>;
  /** How many managers a user may hold on this process alone, where the cluster's limit is `limit`. */
  nodeLimit(limit: number): number;
}

/** Messages that wait until it is certain that their connection still has its slot. */
export interface HeldTraffic {
  /** Must not throw. */
  resume(): void;
}

/**
 * What an arrival gets. `held`: a slot that is counted on all nodes. `unleased`: a slot that is not, because the
 * cluster is away and its options admit arrivals meanwhile. `full`: no slot, because all are in use. `unavailable`: no
 * slot, because the cluster is away and its options admit no arrival meanwhile.
 */
export type LeaseAnswer = 'held' | 'unleased' | 'full' | 'unavailable';

/** The right to one slot in the cluster. */
export interface ClusterLease {
  /** Never rejects, and resolves within the deadlines of the cluster. */
  readonly answer: Promise<LeaseAnswer>;
  /** Gives the slot back. Safe to call twice, and before the answer has arrived. */
  release(): void;
}

/** Why a connection lost its slot: to a newer connection by eviction, or to others while it was not renewed. */
export type LeaseLoss = 'evicted' | 'lease-lost';

/** A connection that could be evicted to make room for another connection. */
export interface IdleConnection {
  readonly connectionId: string;
  /** Milliseconds without traffic. */
  readonly idleMs: number;
}

/** The holder of this process's leases: its managers, as the cluster sees them. */
export interface SlotHolder {
  /** How many slots a user may hold in the whole cluster. */
  readonly limit: number;
  /** What happens where no slot is free: refuse the arrival, or evict the least recently active connection. */
  readonly overflow: 'reject' | 'evict-idle';
  /** Milliseconds that a node has to find out which of its connections are dead. */
  readonly probeTimeoutMs: number;
  /** A slot is lost: its connection has to end before another of its messages is handled. */
  lost(connectionId: string, loss: LeaseLoss): void;
  /**
   * Removes dead and stale connections of a user that is at the limit. Resolves when no more can be removed, to the
   * connections that are left and could be evicted, the least recently active first.
   */
  rescue(userId: string): Promise<readonly IdleConnection[]>;
}
