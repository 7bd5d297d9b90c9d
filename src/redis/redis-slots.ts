import type { Clock } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import type {
  ClusterSlots,
  HeldTraffic,
  LeaseAnswer,
  SlotHolder,
} from '../cluster/cluster-slots.js';
import type { Availability } from './availability.js';
import { memberOf, nodeOf } from './keys.js';
import type { Acquired, LeaseRegistry } from './lease-registry.js';
import type { Lease, LeaseTable, UserLeases } from './lease-table.js';
import { isNodeId } from './message-shapes.js';
import { type IdleMember, RENEW, RESCUE } from './messages.js';
import type { NodeBus } from './node-bus.js';
import { answerWithin } from './redis-deadline.js';
import type { Reconciliation } from './reconciliation.js';
import { concernsOneKey } from './redis-failure.js';
import type { RedisClusterSettings } from './redis.options.js';
import type { Renewal } from './renewal.js';

/** Milliseconds that the answer of another node may take, in addition to the time for its probes. */
const ROUND_TRIP_MS = 250;

/** The slots of this node's connections, counted over all nodes. */
export class RedisSlots implements ClusterSlots {
  #holder: SlotHolder | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly settings: Readonly<RedisClusterSettings>,
    private readonly nodeId: string,
    private readonly table: LeaseTable,
    private readonly registry: LeaseRegistry,
    private readonly availability: Availability,
    private readonly renewal: Renewal,
    private readonly reconciliation: Reconciliation,
    private readonly bus: NodeBus,
  ) {
    bus.use(RESCUE, ({ hash }) => this.#rescueHere(hash));
    bus.use(RENEW, ({ hash }) => this.#reconcileHere(hash));
  }

  get holder(): SlotHolder {
    return this.#holder!;
  }

  get freshUntil(): number {
    return this.renewal.freshUntil;
  }

  hold(held: HeldTraffic): void {
    this.renewal.hold(held);
  }

  useHolder(holder: SlotHolder): void {
    this.#holder = holder;
  }

  nodeLimit(limit: number): number {
    return this.availability.state === 'open' ? Number.POSITIVE_INFINITY : limit;
  }

  async heldBy(userId: string): Promise<number | undefined> {
    if (!this.availability.isUp) return undefined;
    const peeked = this.registry.peek(this.table.keysOf(this.table.hashOf(userId)));
    try {
      return (await answerWithin(this.clock, this.settings.commandTimeoutMs, peeked)).length;
    } catch (error) {
      this.availability.stumble(error);
      return undefined;
    }
  }

  lease(userId: string, connectionId: string): Lease {
    const lease = this.table.add(userId, connectionId, (given) => this.#giveBack(given));
    lease.answer = this.#ask(lease);
    return lease;
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

  // The mode decides. A slot without a lease is reported as soon as Redis is back.
  #withoutRedis(lease: Lease): LeaseAnswer {
    if (this.availability.mode === 'closed') {
      lease.release();
      return 'unavailable';
    }
    if (lease.isGone) return 'unleased';
    lease.state = 'unleased';
    this.table.mustTell(lease.user);
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
    // A script that had to be sent again may have run after the lease was given back.
    if (lease.isGone) this.#release(lease);
    else lease.state = 'held';
    return 'held';
  }

  #tryToAcquire({ user, member }: Lease, evictable: readonly string[]): Promise<Acquired> {
    const { acquireTimeoutMs } = this.settings;
    const asked = this.registry.acquire(user.keys, member, this.#holder!.limit, evictable);
    return this.reconciliation.told(user, answerWithin(this.clock, acquireTimeoutMs, asked));
  }

  #giveBack(lease: Lease): void {
    this.table.remove(lease);
    if (!this.availability.hasLeft) this.#release(lease);
  }

  // Redis executes the commands of one connection in order: a pending request for the lease is executed before.
  #release(lease: Lease): void {
    this.reconciliation.release(lease).catch((error: unknown) => this.#failed(error));
  }

  // One rescue serves all arrivals of a user that wait at the same time.
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
    // A text that another program has written may not be the id of a node.
    const others = new Set(members.map(nodeOf).filter(isNodeId));
    others.delete(this.nodeId);
    const [here, there] = await Promise.all([
      withDeadline(this.clock, withinMs, this.#rescueHere(hash)),
      this.bus.ask([...others], RESCUE, { hash }, withinMs),
    ]);
    if (holder.overflow === 'reject') return [];
    const idle = [here === TIMED_OUT ? [] : here, ...there].flat();
    return idle.toSorted((one, other) => other.idleMs - one.idleMs).map(({ member }) => member);
  }

  // Leases of connections that have ended are given back first: the user may have left while Redis was away. Idle time
  // is measured up to the question, not up to the answer: all nodes are asked at about the same time, but a node that
  // waits for pongs answers seconds later than one that does not.
  async #rescueHere(hash: string): Promise<IdleMember[]> {
    const askedAt = this.clock.now();
    await this.#reconcileHere(hash);
    const user = this.table.user(hash);
    if (!user) return [];
    const idle = await this.#holder!.rescue(user.userId);
    const tookMs = this.clock.now() - askedAt;
    return idle.map(({ connectionId, idleMs }) => ({
      member: memberOf(this.nodeId, connectionId),
      idleMs: idleMs - tookMs,
    }));
  }

  // The reconciliation on its node closes the victim. If the message is lost, that happens at the next renewal; a
  // duplicate has no effect.
  async #announceEviction({ keys }: UserLeases, victim: string): Promise<void> {
    const { hash } = keys;
    const nodeId = nodeOf(victim);
    if (nodeId === this.nodeId) await this.#reconcileHere(hash);
    else await this.bus.tell(nodeId, RENEW, { hash });
  }

  async #reconcileHere(hash: string): Promise<void> {
    try {
      await this.reconciliation.one(hash);
    } catch (error) {
      this.#failed(error);
    }
  }

  #failed(error: unknown): void {
    if (concernsOneKey(error)) this.availability.stumble(error);
    else this.renewal.failed(error);
  }
}
