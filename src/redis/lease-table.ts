import type { ClusterLease, LeaseAnswer } from '../cluster/cluster-slots.js';
import { type Keys, memberOf, type UserKeys } from './keys.js';

/** `asking`: the answer is not there yet. `gone`: given back or lost, and of no further interest. */
export type LeaseState = 'asking' | 'held' | 'unleased' | 'gone';

/** One slot of this node. */
export class Lease implements ClusterLease {
  state: LeaseState = 'asking';
  answer!: Promise<LeaseAnswer>;

  constructor(
    readonly user: UserLeases,
    readonly connectionId: string,
    /** Its name in the registry. */
    readonly member: string,
    private readonly giveBack: (lease: Lease) => void,
  ) {}

  get isGone(): boolean {
    return this.state === 'gone';
  }

  release(): void {
    if (!this.isGone) this.giveBack(this);
  }
}

/** The slots that one user has on this node, the oldest first. */
export class UserLeases {
  readonly leases = new Set<Lease>();
  /** The emergency cleanup that runs for this user on all nodes. */
  rescue: Promise<string[]> | undefined = undefined;

  constructor(
    readonly userId: string,
    readonly keys: UserKeys,
  ) {}

  /** Those that Redis is to know of. One whose answer is not there yet may be refused: renewing would let it in. */
  get renewable(): Lease[] {
    return [...this.leases].filter(({ state }) => state === 'held' || state === 'unleased');
  }
}

/** The slots of this node. A user without any is not kept. */
export class LeaseTable {
  readonly #users = new Map<string, UserLeases>();

  constructor(
    private readonly keys: Keys,
    private readonly nodeId: string,
  ) {}

  /** @param giveBack what {@link Lease.release} does */
  add(userId: string, connectionId: string, giveBack: (lease: Lease) => void): Lease {
    const hash = this.keys.hashOf(userId);
    let user = this.#users.get(hash);
    if (!user) {
      user = new UserLeases(userId, this.keys.ofUser(hash));
      this.#users.set(hash, user);
    }
    const lease = new Lease(user, connectionId, memberOf(this.nodeId, connectionId), giveBack);
    user.leases.add(lease);
    return lease;
  }

  /** Takes a lease out; it is `gone`. */
  remove(lease: Lease): void {
    const { user } = lease;
    lease.state = 'gone';
    user.leases.delete(lease);
    if (user.leases.size === 0) this.#users.delete(user.keys.hash);
  }

  user(hash: string): UserLeases | undefined {
    return this.#users.get(hash);
  }

  users(): UserLeases[] {
    return [...this.#users.values()];
  }

  get size(): number {
    let size = 0;
    for (const { leases } of this.#users.values()) size += leases.size;
    return size;
  }

  /** How many there are in each state. */
  count(): Readonly<Record<LeaseState, number>> {
    const counts = { asking: 0, held: 0, unleased: 0, gone: 0 };
    for (const { leases } of this.#users.values()) {
      for (const { state } of leases) counts[state] += 1;
    }
    return counts;
  }
}
