import type { Clock } from '../time/clock.js';
import type { ClusterLease, LeaseAnswer } from '../cluster/cluster-slots.js';
import { type Keys, memberOf, type UserKeys } from './keys.js';

/**
 * `asking`: the reply of Redis has not arrived yet. `unleased`: held here, but not counted in Redis as far as is known.
 * `gone`: given back or lost, and of no further interest.
 */
export type LeaseState = 'asking' | 'held' | 'unleased' | 'gone';

/** One slot of this node. */
export class Lease implements ClusterLease {
  state: LeaseState = 'asking';
  answer!: Promise<LeaseAnswer>;

  constructor(
    readonly user: UserLeases,
    readonly connectionId: string,
    /** The name of the lease in the registry. */
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

/**
 * How often the leases of a user are reported to Redis after a command whose outcome is unknown. Once is not enough:
 * that command may still be executed late.
 */
const TELLINGS = 2;
/** Users whose leases still have to be reported to Redis. The leases of further users end by themselves. */
const MOST_LEFT = 50_000;

/** The slots that one user has on this node, oldest first. */
export class UserLeases {
  readonly leases = new Set<Lease>();
  /** The emergency cleanup that runs for this user on all nodes. */
  rescue: Promise<string[]> | undefined = undefined;
  /** How often the leases of this user still have to be reported to Redis. */
  tellings = 0;
  /**
   * A time of Redis since which there is no room. A lease that takes the room and was not renewed since may have ended.
   */
  contestedSince: number | undefined = undefined;

  constructor(
    readonly userId: string,
    readonly keys: UserKeys,
  ) {}

  /** The leases that Redis has to count. One that is being acquired may be refused: renewing it would admit it. */
  get renewable(): Lease[] {
    return [...this.leases].filter(({ state }) => state === 'held' || state === 'unleased');
  }

  /** Whether Redis has, as far as is known, all leases of this user, no others of this node, and room for them. */
  get isCertain(): boolean {
    if (this.tellings > 0 || this.contestedSince !== undefined || this.leases.size === 0)
      return false;
    for (const { state } of this.leases) if (state !== 'held') return false;
    return true;
  }

  /** Members that are being acquired: their reply has not arrived yet. */
  get asking(): string[] {
    const asking = [...this.leases].filter(({ state }) => state === 'asking');
    return asking.map(({ member }) => member);
  }
}

/**
 * The slots of this node. A user without a slot is kept only while Redis may still have leases of this node that have
 * ended here, and no longer than those leases last.
 */
export class LeaseTable {
  readonly #users = new Map<string, UserLeases>();
  // Users whose leases have to be reported to Redis, and since when; earliest first.
  readonly #untold = new Map<UserLeases, number>();

  constructor(
    private readonly keys: Keys,
    private readonly nodeId: string,
    private readonly clock: Clock,
    private readonly leaseMs: number,
  ) {}

  /** @param giveBack called by {@link Lease.release} */
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

  /** Removes a lease; its state becomes `gone`. */
  remove(lease: Lease): void {
    const { user } = lease;
    lease.state = 'gone';
    user.leases.delete(lease);
    this.#forgetIfDone(user);
  }

  /** The leases that Redis has of this user are uncertain: they have to be reported, even if the user leaves before. */
  mustTell({ userId, keys }: UserLeases): void {
    let user = this.#users.get(keys.hash);
    if (!user) {
      user = new UserLeases(userId, keys);
      this.#users.set(keys.hash, user);
    }
    user.tellings = TELLINGS;
    this.#untold.delete(user);
    this.#untold.set(user, this.clock.now());
    if (this.#untold.size > MOST_LEFT) this.#forget(first(this.#untold));
  }

  /** The leases of a user were reported to Redis. */
  told(user: UserLeases): void {
    if (user.tellings === 0) return;
    user.tellings -= 1;
    if (user.tellings > 0) return;
    this.#untold.delete(user);
    this.#forgetIfDone(user);
  }

  /** Users whose leases were not reported yet since they became uncertain. */
  untold(): UserLeases[] {
    return [...this.#untold.keys()].filter(({ tellings }) => tellings === TELLINGS);
  }

  /** Forgets users whose uncertain leases have ended by themselves. */
  forgetEnded(): void {
    const oldest = this.clock.now() - this.leaseMs;
    for (const [user, since] of this.#untold) {
      if (since >= oldest) return;
      this.#forget(user);
    }
  }

  user(hash: string): UserLeases | undefined {
    return this.#users.get(hash);
  }

  hashOf(userId: string): string {
    return this.keys.hashOf(userId);
  }

  /** The keys of a user, also of one that has no slot here. */
  keysOf(hash: string): UserKeys {
    return this.keys.ofUser(hash);
  }

  users(): UserLeases[] {
    return [...this.#users.values()];
  }

  get size(): number {
    let size = 0;
    for (const { leases } of this.#users.values()) size += leases.size;
    return size;
  }

  /** The number of leases in each state. */
  count(): Readonly<Record<LeaseState, number>> {
    const counts = { asking: 0, held: 0, unleased: 0, gone: 0 };
    for (const { leases } of this.#users.values()) {
      for (const { state } of leases) counts[state] += 1;
    }
    return counts;
  }

  #forget(user: UserLeases): void {
    this.#untold.delete(user);
    user.tellings = 0;
    this.#forgetIfDone(user);
  }

  #forgetIfDone(user: UserLeases): void {
    if (user.leases.size > 0 || user.tellings > 0) return;
    if (this.#users.get(user.keys.hash) === user) this.#users.delete(user.keys.hash);
  }
}

function first<Key>(map: ReadonlyMap<Key, unknown>): Key {
  for (const key of map.keys()) return key;
  throw new Error('the map is empty');
}
