import type { RedisConnection } from './connections.js';
import type { UserKeys } from './keys.js';
import { ACQUIRE, EXTEND, PEEK, RECONCILE } from './lease-scripts.js';
import { UnreadableReplyError } from './redis-failure.js';

/** The outcome of {@link LeaseRegistry.acquire}: the evicted members, or all members if there is no room. */
export type Acquired =
  | { readonly isHeld: true; readonly victims: readonly string[] }
  | { readonly isHeld: false; readonly members: readonly string[] };

/**
 * The outcome for a lease that a node holds. `undecided`: there is no room, but some of the leases that take it may
 * have ended on nodes that could not give them back yet.
 */
export type Settled = 'extended' | 'restored' | 'lost' | 'evicted' | 'undecided';

const SETTLED: Readonly<Record<string, Settled>> = {
  '1': 'extended',
  '2': 'restored',
  '0': 'lost',
  '-1': 'evicted',
  '3': 'undecided',
};

/** The leases of a user that a node knows it has. */
export interface Holding {
  /** Members, oldest first. */
  readonly held: readonly string[];
  /** Members that are being acquired: their reply has not arrived yet. */
  readonly asking: readonly string[];
  /** A time of Redis: members renewed since then are certainly alive. `undefined` if there was room so far. */
  readonly doubtedSince: number | undefined;
}

/** The outcome of {@link LeaseRegistry.reconcile}. */
export interface Reconciled {
  /** Epoch milliseconds by the clock of Redis. */
  readonly at: number;
  /** One for each held member, in the same order. */
  readonly outcomes: readonly Settled[];
  /** Members that take the room, but may have ended. */
  readonly doubtful: readonly string[];
}

/** Users of whom Redis is to extend all leases that a node has. */
export type Extension = readonly {
  readonly keys: UserKeys;
  /** Members, oldest first. */
  readonly held: readonly string[];
}[];

/** The registry of leases in Redis. Every command may fail or hang: the caller sets the deadline. */
export class LeaseRegistry {
  /**
   * The latest time of Redis that this node has heard. It is sent with every list of leases: a lease that was taken or
   * renewed later is not given back, although the list does not name it.
   */
  #heardAt = 0;

  constructor(
    private readonly connection: () => RedisConnection,
    private readonly nodeId: string,
    private readonly leaseMs: number,
  ) {}

  /** Redis has returned its time. */
  heard(serverTime: number): void {
    this.#heardAt = serverTime;
  }

  /**
   * Takes a slot, or extends the lease that the member already has. Repeating it after a lost reply is safe.
   *
   * @param evictable members that may be evicted, in this order
   */
  async acquire(
    keys: UserKeys,
    member: string,
    limit: number,
    evictable: readonly string[] = [],
  ): Promise<Acquired> {
    const args = [member, String(limit), String(this.leaseMs), ...evictable];
    const reply = await ACQUIRE.run(this.connection(), [keys.leases, keys.evicted], args);
    const [code, ...members] = reply as [number, ...string[]];
    return code === 0 ? { isHeld: false, members } : { isHeld: true, victims: members };
  }

  /**
   * Makes the leases of a user that Redis has of this node match those of the node: gives back the others, extends the
   * held ones, takes those that Redis has lost or never got. If it is executed late, over a connection that was given
   * up, it does not give back leases that were taken since.
   */
  async reconcile(
    keys: UserKeys,
    { held, asking, doubtedSince }: Holding,
    limit: number,
  ): Promise<Reconciled> {
    const times = [this.leaseMs, this.#heardAt, doubtedSince ?? Number.MAX_SAFE_INTEGER];
    const sizes = [this.nodeId, limit, ...times, held.length].map(String);
    const args = [...sizes, ...held, ...asking];
    const reply = await RECONCILE.run(this.connection(), [keys.leases, keys.evicted], args);
    const [at, ...rest] = Array.isArray(reply) ? (reply as unknown[]) : [];
    const outcomes = rest.slice(0, held.length).map((code) => SETTLED[String(code)]);
    if (typeof at !== 'number' || outcomes.length < held.length || outcomes.includes(undefined)) {
      throw new UnreadableReplyError('the slots of a user');
    }
    this.heard(at);
    const doubtful = rest.slice(held.length).map(String);
    return { at, outcomes: outcomes as Settled[], doubtful };
  }

  /**
   * Extends the leases of many users with one command, where Redis has exactly these, and takes none anew. The keys of
   * the users have to be on one server.
   *
   * @returns the places of the users of whom Redis has other leases of this node
   */
  async extend(users: Extension): Promise<readonly number[]> {
    const keys = users.map(({ keys: { leases } }) => leases);
    const members = users.flatMap(({ held }) => [String(held.length), ...held]);
    const args = [this.nodeId, String(this.leaseMs), ...members];
    const reply = await EXTEND.run(this.connection(), keys, args);
    const [at, ...places] = Array.isArray(reply) ? (reply as unknown[]) : [];
    const isPlace = (place: unknown): boolean =>
      Number.isInteger(place) && Number(place) >= 1 && Number(place) <= users.length;
    if (typeof at !== 'number' || !places.every(isPlace)) {
      throw new UnreadableReplyError('the slots of users');
    }
    this.heard(at);
    return places.map((place) => Number(place) - 1);
  }

  /** Gives slots back. Safe to repeat. */
  async release(keys: UserKeys, members: string[]): Promise<void> {
    await this.connection().zRem(keys.leases, members);
  }

  /** The members that hold a slot now. */
  async peek(keys: UserKeys): Promise<string[]> {
    return (await PEEK.run(this.connection(), [keys.leases], [])) as string[];
  }
}
