import type { RedisConnection } from './connections.js';
import type { UserKeys } from './keys.js';
import { ACQUIRE, PEEK, RECONCILE } from './lease-scripts.js';
import { UnreadableReplyError } from './redis-failure.js';

/** What became of an arrival. */
export type Acquired =
  | { readonly isHeld: true; readonly victims: readonly string[] }
  | { readonly isHeld: false; readonly members: readonly string[] };

/**
 * What became of a lease that a node holds. `undecided`: there is no room, but some of those in the way may have
 * ended on nodes that could not say so yet.
 */
export type Settled = 'extended' | 'restored' | 'lost' | 'evicted' | 'undecided';

const SETTLED: Readonly<Record<string, Settled>> = {
  '1': 'extended',
  '2': 'restored',
  '0': 'lost',
  '-1': 'evicted',
  '3': 'undecided',
};

/** What a node has of a user, as it knows it. */
export interface Holding {
  /** Members, the oldest first. */
  readonly held: readonly string[];
  /** Members whose answer is not there yet. */
  readonly asking: readonly string[];
  /** A time of Redis: members renewed since then are certainly alive. `undefined` where that was not asked before. */
  readonly doubtedSince: number | undefined;
}

/** What Redis has of a user and a node, after it was told. */
export interface Reconciled {
  /** By the clock of Redis. */
  readonly at: number;
  /** In the order of what is held. */
  readonly outcomes: readonly Settled[];
  /** Members in the way that may have ended. */
  readonly doubtful: readonly string[];
}

/** Who holds slots, in Redis. Every command may fail or hang: whoever calls sets the deadline. */
export class LeaseRegistry {
  /** The latest time that Redis is known to have reached; what a node says now, it knew by then. */
  #heardAt = 0;

  constructor(
    private readonly connection: () => RedisConnection,
    private readonly nodeId: string,
    private readonly leaseMs: number,
  ) {}

  /** Redis has said what time it is. */
  heard(serverTime: number): void {
    this.#heardAt = serverTime;
  }

  /**
   * Takes a slot, or extends the one the member has: asking again after a lost answer does no harm.
   *
   * @param evictable members that may make room, the first first
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
   * Makes what Redis has of this node and a user what the node has: gives back the rest, extends what is held,
   * takes what Redis has lost or was never told. Carried out late, by a line that was given up, it does not
   * take back what has come since.
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

  /** Gives slots back. Safe to repeat. */
  async release(keys: UserKeys, members: string[]): Promise<void> {
    await this.connection().zRem(keys.leases, members);
  }

  /** The members that hold a slot at this moment. */
  async peek(keys: UserKeys): Promise<string[]> {
    return (await PEEK.run(this.connection(), [keys.leases], [])) as string[];
  }
}
