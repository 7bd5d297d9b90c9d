import type { Clock, Release } from '../time/clock.js';
import type { SlotHolder } from '../cluster/cluster-slots.js';
import { inBatches } from './batches.js';
import { nodeOf, type UserKeys } from './keys.js';
import { LeaseExtension } from './lease-extension.js';
import type { LeaseRegistry, Settled } from './lease-registry.js';
import type { Lease, LeaseTable, UserLeases } from './lease-table.js';
import { isNodeId } from './message-shapes.js';
import { RENEW } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { answerWithin } from './redis-deadline.js';
import { concernsOneKey } from './redis-failure.js';
import type { RedisClusterSettings } from './redis.options.js';

/** Users that are reconciled at the same time: enough to keep Redis busy, too few to delay other commands. */
const BATCH = 250;
/** How often one renewal repeats for users whose leases became uncertain meanwhile. */
const PASSES = 3;
/** The first pause, in milliseconds, before leases without room are asked for again. Further pauses are doubled. */
const SHORTEST_PAUSE_MS = 100;

/** What a reconciliation needs from its node. */
export interface ReconciliationServices {
  readonly clock: Clock;
  readonly settings: Readonly<RedisClusterSettings>;
  readonly nodeId: string;
  readonly table: LeaseTable;
  readonly registry: LeaseRegistry;
  readonly bus: NodeBus;
  readonly holder: () => SlotHolder;
  /** Whether this process has slept for so long that other nodes may have its slots: then it has no claim to them. */
  readonly isOverslept: () => boolean;
  /** A command failed in a way that concerns one user only. */
  readonly stumbled: (error: unknown) => void;
}

/**
 * Makes the leases that Redis has of this node match its connections, user by user: gives back leases of connections
 * that have ended, extends those of living ones, takes those that Redis does not have. Only the node knows which of its
 * connections live, and this is the only way in which it reports that: at renewals, after Redis was away, and after any
 * command whose outcome is unknown.
 */
export class Reconciliation {
  readonly counters = { lost: 0, evicted: 0, restored: 0 };
  // Users for whom there is no room, as far as is known.
  readonly #contested = new Set<UserLeases>();
  #pauseMs = SHORTEST_PAUSE_MS;
  #stopTimer: Release | undefined;
  readonly #extension: LeaseExtension;

  constructor(private readonly host: ReconciliationServices) {
    this.#extension = new LeaseExtension(host);
  }

  /** Reconciles all users of this node, and those that became uncertain meanwhile. Rejects if Redis fails for any. */
  async all(): Promise<void> {
    const { table } = this.host;
    table.forgetEnded();
    await this.#each(await this.#extension.run(table.users()));
    for (let pass = 0; pass < PASSES; pass += 1) {
      const untold = table.untold();
      if (untold.length === 0) return;
      await this.#each(untold);
    }
  }

  /** Reconciles one user. Rejects when Redis does not reply. */
  one(hash: string): Promise<void> {
    const { clock, settings, table } = this.host;
    const user = table.user(hash);
    const done = user ? this.#reconcile(user) : this.#giveBackAll(table.keysOf(hash));
    return answerWithin(clock, settings.commandTimeoutMs, done);
  }

  /** Gives all slots back, before their connections have closed. Rejects when Redis does not reply. */
  releaseAll(): Promise<void> {
    const { table, registry } = this.host;
    const released = table.users().map((user) => {
      const leases = [...user.leases];
      for (const lease of leases) table.remove(lease);
      return { user, members: leases.map(({ member }) => member) };
    });
    return this.#inBatches(released, async ({ user, members }) => {
      if (members.length > 0) await this.told(user, registry.release(user.keys, members));
    });
  }

  /** Gives one slot back. Safe to repeat. Rejects when Redis does not reply. */
  release({ user, member }: Lease): Promise<void> {
    return this.told(user, this.host.registry.release(user.keys, [member]));
  }

  /** Passes on the outcome of a command. If it fails, its effect is unknown, and the leases are reported later. */
  async told<T>(user: UserLeases, command: Promise<T>): Promise<T> {
    try {
      return await command;
    } catch (error) {
      this.host.table.mustTell(user);
      throw error;
    }
  }

  stop(): void {
    this.#stopTimer?.();
    this.#contested.clear();
  }

  #each(users: readonly UserLeases[]): Promise<void> {
    return this.#inBatches(users, (user) => this.#reconcile(user));
  }

  async #reconcile(user: UserLeases): Promise<void> {
    const { table, registry, isOverslept, holder, stumbled } = this.host;
    const leases = user.renewable;
    const held = leases.map(({ member }) => member);
    const { asking, contestedSince } = user;
    if (held.length === 0 && user.tellings === 0) return;
    const doubtedSince = isOverslept() ? 0 : contestedSince;
    const asked = registry.reconcile(user.keys, { held, asking, doubtedSince }, holder().limit);
    try {
      // With nothing held, a failure does not have to be repaired: the leases to give back end by themselves.
      const { at, outcomes, doubtful } = await (held.length > 0 ? this.told(user, asked) : asked);
      table.told(user);
      this.#contest(user, outcomes.includes('undecided') ? at : undefined, doubtful);
      outcomes.forEach((outcome, index) => this.#settle(leases[index]!, outcome));
    } catch (error) {
      for (const lease of leases) if (!lease.isGone) lease.state = 'unleased';
      if (!concernsOneKey(error)) throw error;
      stumbled(error);
    }
  }

  // For a user without a slot here: another node has found leases of this node in Redis.
  async #giveBackAll(keys: UserKeys): Promise<void> {
    const nothing = { held: [], asking: [], doubtedSince: undefined };
    await this.host.registry.reconcile(keys, nothing, this.host.holder().limit);
  }

  #settle(lease: Lease, outcome: Settled): void {
    if (lease.isGone) {
      // The script was sent again in full, ran after the lease was given back, and took it anew.
      if (outcome === 'restored') this.release(lease).catch(this.host.stumbled);
      return;
    }
    if (outcome === 'extended' || outcome === 'restored') {
      if (outcome === 'restored') this.counters.restored += 1;
      lease.state = 'held';
    } else if (outcome === 'undecided') {
      lease.state = 'unleased';
    } else {
      this.counters[outcome] += 1;
      this.host.table.remove(lease);
      const loss = outcome === 'lost' ? 'lease-lost' : 'evicted';
      this.host.holder().lost(lease.connectionId, loss);
    }
  }

  // The nodes of the doubtful leases are asked to renew those of living connections, which proves that they live. A
  // lease that its node does not renew ends within `leaseMs`.
  #contest(user: UserLeases, at: number | undefined, doubtful: readonly string[]): void {
    if (at === undefined) {
      user.contestedSince = undefined;
      this.#contested.delete(user);
      return;
    }
    user.contestedSince ??= at;
    this.#contested.add(user);
    const { bus, nodeId, clock } = this.host;
    const nodes = new Set(doubtful.map(nodeOf).filter(isNodeId));
    nodes.delete(nodeId);
    for (const node of nodes) void bus.tell(node, RENEW, { hash: user.keys.hash });
    this.#stopTimer ??= clock.after(this.#pauseMs, () => void this.#askAgain());
  }

  async #askAgain(): Promise<void> {
    this.#stopTimer = undefined;
    this.#pauseMs = Math.min(this.#pauseMs * 2, this.host.settings.renewMs);
    const contested = [...this.#contested];
    this.#contested.clear();
    try {
      await this.#each(contested);
    } catch (error) {
      // The next renewal tries again.
      this.host.stumbled(error);
    }
    if (this.#contested.size === 0) this.#pauseMs = SHORTEST_PAUSE_MS;
  }

  #inBatches<Item>(items: readonly Item[], step: (item: Item) => Promise<void>): Promise<void> {
    return inBatches(this.host, items, BATCH, step);
  }
}
