/** The slots of users over all nodes. This process's own limits have been looked at before it is asked. */
export interface ClusterSlots {
  /**
   * Monotonic milliseconds until which leases need no doubt. Past it this process was frozen, or has not
   * come round to renewing: what it holds may have been given away.
   */
  readonly freshUntil: number;
  /** Calls `resume` once the leases held here are beyond doubt again. The same one waits once. */
  hold(held: HeldTraffic): void;
  /** A plug: what holds the leases of this process. Filled before anything is leased. */
  useHolder(holder: SlotHolder): void;
  /** Asks for a slot. The lease exists at once, so that it can be given back before the answer is there. */
  lease(userId: string, connectionId: string): ClusterLease;
  /** How many managers a user may hold on this process alone, where the cluster's limit is `limit`. */
  nodeLimit(limit: number): number;
}

/** Messages that wait until it is certain that their connection still has its slot. */
export interface HeldTraffic {
  /** Must not throw. */
  resume(): void;
}

/**
 * What an arrival gets: a slot that is counted everywhere; one that is not, because the cluster is away
 * and the operator wants people in; nothing, because all slots are in use; nothing, because the
 * cluster is away and the operator wants nobody in.
 */
export type LeaseAnswer = 'held' | 'unleased' | 'full' | 'unavailable';

/** The right to one slot in the cluster. */
export interface ClusterLease {
  /** Never rejects, and comes within the deadlines of the cluster. */
  readonly answer: Promise<LeaseAnswer>;
  /** Gives the slot back. Safe to call twice, before the answer too. */
  release(): void;
}

/** Why a connection has lost its slot: a newer one got it, or others did while nobody renewed it. */
export type LeaseLoss = 'evicted' | 'lease-lost';

/** A connection that could make room for another one. */
export interface IdleConnection {
  readonly connectionId: string;
  /** Milliseconds without traffic. */
  readonly idleMs: number;
}

/** Who holds this process's leases: the managers, as the cluster sees them. */
export interface SlotHolder {
  /** Slots a user may hold in the whole cluster. */
  readonly limit: number;
  /** What makes room where there is none: nothing, or the least recently active connection. */
  readonly overflow: 'reject' | 'evict-idle';
  /** Milliseconds a node gets to find out which of its connections are dead. */
  readonly probeTimeoutMs: number;
  /** A slot is lost: its connection has to end before another message of it is handled. */
  lost(connectionId: string, loss: LeaseLoss): void;
  /**
   * The user is at the limit: removes what is dead or stale here. Resolves when nothing more can be
   * expected, to those that are left and could make room, the least recently active first.
   */
  rescue(userId: string): Promise<readonly IdleConnection[]>;
}
