import type { Clock } from '../time/clock.js';
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

/** How often Redis is told what is held here, after a command whose outcome is unknown: it may be carried out late. */
const TELLINGS = 2;
/** Users without a connection here of whom Redis has to be told. The leases of further ones end by themselves. */
const MOST_LEFT = 50_000;

/** The slots that one user has on this node, the oldest first. */
export class UserLeases {
  readonly leases = new Set<Lease>();
  /** The emergency cleanup that runs for this user on all nodes. */
  rescue: Promise<string[]> | undefined = undefined;
  /** How often Redis still has to be told what is held here. */
  tellings = 0;
  /** A time of Redis since when there is no room: of those in the way, who has not renewed since then may have ended. */
  contestedSince: number | undefined = undefined;

  constructor(
    readonly userId: string,
    readonly keys: UserKeys,
  ) {}

  /** Those that Redis is to know of. One whose answer is not there yet may be refused: renewing would let it in. */
  get renewable(): Lease[] {
    return [...this.leases].filter(({ state }) => state === 'held' || state === 'unleased');
  }

  /** Members whose answer is not there yet. */
  get asking(): string[] {
    const asking = [...this.leases].filter(({ state }) => state === 'asking');
    return asking.map(({ member }) => member);
  }
}

/**
 * The slots of this node. A user without any is kept only while Redis may have leases of this node that live no
 * more, and not for longer than those last.
 */
export class LeaseTable {
  readonly #users = new Map<string, UserLeases>();
  // Users of whom Redis has to be told, and since when: the earliest first.
  readonly #untold = new Map<UserLeases, number>();

  constructor(
    private readonly keys: Keys,
    private readonly nodeId: string,
    private readonly clock: Clock,
    private readonly leaseMs: number,
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
    this.#forgetIfDone(user);
  }

  /** What Redis has of this user and this node is uncertain: it has to be told, however soon the user leaves. */
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

  /** Redis was told what is held here of a user. */
  told(user: UserLeases): void {
    if (user.tellings === 0) return;
    user.tellings -= 1;
    if (user.tellings > 0) return;
    this.#untold.delete(user);
    this.#forgetIfDone(user);
  }

  /** Users of whom Redis was not told yet since they became uncertain. */
  untold(): UserLeases[] {
    return [...this.#untold.keys()].filter(({ tellings }) => tellings === TELLINGS);
  }

  /** Forgets users whose leases have ended by themselves. */
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

  /** Names of a user of whom nothing is known here. */
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

  /** How many there are in each state. */
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
