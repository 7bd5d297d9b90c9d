import type { Clock } from '../clock/clock.js';
import { TIMED_OUT, withDeadline } from '../clock/deadline.js';
import type {
  ClusterSlots,
  HeldTraffic,
  LeaseAnswer,
  SlotHolder,
} from '../cluster/cluster-slots.js';
import type { Availability } from './availability.js';
import { memberOf, nodeOf } from './keys.js';
import type { Acquired, LeaseRegistry, Renewed } from './lease-registry.js';
import type { Lease, LeaseTable, UserLeases } from './lease-table.js';
import { type IdleMember, isNodeId, RENEW, RESCUE } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { answerWithin } from './redis-deadline.js';
import { concernsOneKey } from './redis-failure.js';
import type { RedisClusterSettings } from './redis.options.js';
import type { Renewal } from './renewal.js';

/** Users whose leases are renewed at once: enough to keep Redis busy, too few to make others wait. */
const BATCH = 250;
/** What an answer of another node may take, beyond the time it has for its probes. */
const ROUND_TRIP_MS = 250;

/** The slots of this node's connections, counted over all nodes. */
export class RedisSlots implements ClusterSlots {
  readonly counters = { lost: 0, evicted: 0, restored: 0 };
  #holder: SlotHolder | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly settings: Readonly<RedisClusterSettings>,
    private readonly nodeId: string,
    private readonly table: LeaseTable,
    private readonly registry: LeaseRegistry,
    private readonly availability: Availability,
    private readonly renewal: Renewal,
    private readonly bus: NodeBus,
  ) {
    bus.handle(RESCUE, ({ hash }) => this.#rescueHere(this.table.user(hash)));
    bus.handle(RENEW, ({ hash }) => this.#renewHere(this.table.user(hash)));
  }

  get freshUntil(): number {
    return this.renewal.freshUntil;
  }

  hold(held: HeldTraffic): void {
    this.renewal.hold(held);
  }

  serve(holder: SlotHolder): void {
    this.#holder = holder;
  }

  nodeLimit(limit: number): number {
    return this.availability.state === 'open' ? Number.POSITIVE_INFINITY : limit;
  }

  lease(userId: string, connectionId: string): Lease {
    const lease = this.table.add(userId, connectionId, (given) => this.#giveBack(given));
    lease.answer = this.#ask(lease);
    return lease;
  }

  /** Renews everything. Rejects when Redis does not answer for all of it. */
  renewAll(): Promise<void> {
    return this.#inBatches(this.table.users(), (user) => this.#renew(user));
  }

  /** Gives everything back; the connections may take their time to leave. Rejects when Redis does not answer. */
  releaseAll(): Promise<void> {
    const released = this.table.users().map(({ keys, leases }) => {
      const members = [...leases].map(({ member }) => member);
      for (const lease of leases) this.table.remove(lease);
      return { keys, members };
    });
    return this.#inBatches(released, ({ keys, members }) => this.registry.release(keys, members));
  }

  async #ask(lease: Lease): Promise<LeaseAnswer> {
    if (!this.availability.isUp) return this.#withoutRedis(lease);
    try {
      return await this.#acquire(lease);
    } catch (error) {
      this.#failed(error);
      return this.#withoutRedis(lease);
    }
  }

  // Whether the lost question was heard is unknown: the next renewal asks for the same member again.
  #withoutRedis(lease: Lease): LeaseAnswer {
    if (this.availability.mode === 'closed') {
      lease.release();
      return 'unavailable';
    }
    if (!lease.isGone) lease.state = 'unleased';
    return 'unleased';
  }

  async #acquire(lease: Lease): Promise<LeaseAnswer> {
    let acquired = await this.#tryToAcquire(lease, []);
    if (!acquired.isHeld && !lease.isGone) {
      const evictable = await this.#rescue(lease.user, acquired.members);
      if (lease.isGone) return 'full';
      acquired = await this.#tryToAcquire(lease, evictable);
    }
    if (!acquired.isHeld) {
      if (!lease.isGone) this.table.remove(lease);
      return 'full';
    }
    for (const victim of acquired.victims) void this.#announceEviction(lease.user, victim);
    if (!lease.isGone) lease.state = 'held';
    return 'held';
  }

  #tryToAcquire({ user, member }: Lease, evictable: readonly string[]): Promise<Acquired> {
    const { acquireTimeoutMs } = this.settings;
    const asked = this.registry.acquire(user.keys, member, this.#holder!.limit, evictable);
    return answerWithin(this.clock, acquireTimeoutMs, asked);
  }

  // Commands of one connection are carried out in their order: what is asked for is there by then.
  #giveBack(lease: Lease): void {
    this.table.remove(lease);
    if (this.availability.hasLeft) return;
    // Where this fails, the lease ends by itself.
    this.registry.release(lease.user.keys, [lease.member]).catch((error: unknown) => {
      this.availability.stumble(error);
    });
  }

  // Once for all arrivals of a user that wait at the same time.
  #rescue(user: UserLeases, members: readonly string[]): Promise<string[]> {
    user.rescue ??= this.#rescueEverywhere(user, members).finally(() => {
      user.rescue = undefined;
    });
    return user.rescue;
  }

  async #rescueEverywhere(user: UserLeases, members: readonly string[]): Promise<string[]> {
    const holder = this.#holder!;
    const withinMs = holder.probeTimeoutMs + ROUND_TRIP_MS;
    const { hash } = user.keys;
    // What was written by something else is the name of no node.
    const others = new Set(members.map(nodeOf).filter(isNodeId));
    others.delete(this.nodeId);
    const [here, there] = await Promise.all([
      withDeadline(this.clock, withinMs, this.#rescueHere(user)),
      this.bus.ask([...others], RESCUE, { hash }, withinMs),
    ]);
    if (holder.overflow === 'reject') return [];
    const idle = [here === TIMED_OUT ? [] : here, ...there].flat();
    return idle.toSorted((one, other) => other.idleMs - one.idleMs).map(({ member }) => member);
  }

  async #rescueHere(user: UserLeases | undefined): Promise<IdleMember[]> {
    if (!user) return [];
    const idle = await this.#holder!.rescue(user.userId);
    return idle.map(({ connectionId, idleMs }) => ({
      member: memberOf(this.nodeId, connectionId),
      idleMs,
    }));
  }

  // Its renewal is what ends it: a message that is lost costs time, one that comes twice nothing.
  async #announceEviction({ keys }: UserLeases, victim: string): Promise<void> {
    const { hash } = keys;
    const nodeId = nodeOf(victim);
    if (nodeId === this.nodeId) await this.#renewHere(this.table.user(hash));
    else await this.bus.tell(nodeId, RENEW, { hash });
  }

  async #renewHere(user: UserLeases | undefined): Promise<void> {
    if (!user) return;
    try {
      await answerWithin(this.clock, this.settings.commandTimeoutMs, this.#renew(user));
    } catch (error) {
      this.#failed(error);
    }
  }

  async #renew(user: UserLeases): Promise<void> {
    const leases = user.renewable;
    if (leases.length === 0) return;
    const members = leases.map(({ member }) => member);
    try {
      const answers = await this.registry.renew(user.keys, members, this.#holder!.limit);
      answers.forEach((answer, index) => this.#renewed(leases[index]!, answer));
    } catch (error) {
      for (const lease of leases) if (!lease.isGone) lease.state = 'unleased';
      if (!concernsOneKey(error)) throw error;
      this.availability.stumble(error);
    }
  }

  #renewed(lease: Lease, answer: Renewed): void {
    if (lease.isGone) return;
    if (answer === 'extended' || answer === 'restored') {
      if (answer === 'restored') this.counters.restored += 1;
      lease.state = 'held';
      return;
    }
    this.counters[answer] += 1;
    this.table.remove(lease);
    this.#holder!.lost(lease.connectionId, answer === 'lost' ? 'lease-lost' : 'evicted');
  }

  #failed(error: unknown): void {
    if (concernsOneKey(error)) this.availability.stumble(error);
    else this.availability.fail(error);
    void this.renewal.now();
  }

  async #inBatches<Item>(
    items: readonly Item[],
    step: (item: Item) => Promise<void>,
  ): Promise<void> {
    let failure: PromiseRejectedResult | undefined;
    for (let start = 0; start < items.length; start += BATCH) {
      const steps = Promise.allSettled(items.slice(start, start + BATCH).map(step));
      // Whoever does not answer is not asked any further; an error may concern a part of a Redis Cluster.
      const outcomes = await answerWithin(this.clock, this.settings.commandTimeoutMs, steps);
      failure ??= outcomes.find((outcome) => outcome.status === 'rejected');
    }
    if (failure) throw failure.reason;
  }
}
