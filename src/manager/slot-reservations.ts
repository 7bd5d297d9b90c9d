import type { Cluster } from '../cluster/cluster.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { spreadFrom } from '../time/back-off.js';
import { CloseCode } from '../wire/close-codes.js';
import type { Limits } from './limits.js';
import type { ManagerRegistry } from './manager-registry.js';
import {
  ClusterUnavailableError,
  ManagerClosedError,
  ManagerLimitError,
} from './manager.errors.js';
import type { SlotReclaimer } from './slot-reclaimer.js';
import type { UserSlots } from './user-slots.js';
import type { WebSocketManager } from './web-socket-manager.js';

/**
 * Least `retryAfterMs`: about the time until a connection that broke without a close frame is found and removed. At most
 * twice of it, at random: a user's tabs must not come back together.
 */
const RETRY_AFTER_MS = 5_000;

/**
 * Reserves slots for arriving connections. A free slot is taken before {@link take} returns. Where none is free, the
 * arrival waits while cleanup makes room. In a cluster, a slot over all nodes is leased after the slot of this process.
 */
export class SlotReservations {
  /** Arrivals refused since the start because a limit was reached. */
  limitHits = 0;
  // Arrivals that wait for a slot, here or in the cluster, by connection id. A second request for the same connection
  // gets the same promise.
  readonly #arrivals = new Map<string, Promise<WebSocketManager>>();
  #isClosed = false;

  constructor(
    private readonly registry: ManagerRegistry,
    private readonly limits: Limits,
    private readonly reclaimer: SlotReclaimer,
    private readonly cluster: Cluster | undefined,
    /** Creates the manager that holds the slot, and registers it. */
    private readonly create: (context: UserExecutionContext) => WebSocketManager,
  ) {}

  /** The pending arrival of a connection; `undefined` when the connection waits for no slot. */
  waiting(connectionId: string): Promise<WebSocketManager> | undefined {
    return this.#arrivals.get(connectionId);
  }

  /**
   * Returns a manager that holds a slot, or a promise of it where the arrival has to wait. Throws, or rejects with:
   *
   * @throws {ManagerLimitError} when all slots are in use, here or in the cluster
   * @throws {ClusterUnavailableError} when the cluster is away and `onUnavailable` is `'closed'`
   * @throws {ManagerClosedError} when the manager was closed while it waited
   */
  take(context: UserExecutionContext): WebSocketManager | Promise<WebSocketManager> {
    const reserved = this.#reserve(context);
    if (!this.cluster) return reserved;
    return this.#remember(context.connectionId, this.#lease(reserved, this.cluster));
  }

  /** Releases a manager's slot, and admits the arrival that has waited longest. */
  release(manager: WebSocketManager): void {
    const slots = this.registry.releaseSlot(manager);
    if (!slots) return;
    manager.lease?.release();
    while (slots.waiters.length > 0 && this.isFree(slots)) slots.nextWaiter()!.admit();
    this.registry.forget(slots);
  }

  /** From now on, arrivals that wait for a slot are rejected instead of admitted. */
  close(): void {
    this.#isClosed = true;
  }

  /** Whether this process has a free slot for a user: both the user and the process are below their limit. */
  isFree(slots: UserSlots | undefined): boolean {
    return (slots?.held ?? 0) < this.#nodeLimit() && this.registry.size < this.limits.maxManagers;
  }

  #reserve(context: UserExecutionContext): WebSocketManager | Promise<WebSocketManager> {
    const slots = this.registry.slotsOf(context.userId);
    const relief =
      slots && slots.held >= this.limits.crowdedFrom ? this.reclaimer.relieve(slots) : undefined;
    if (this.isFree(this.registry.slotsOf(context.userId))) {
      const manager = this.create(context);
      return relief ? relief.then(() => manager) : manager;
    }
    return this.#wait(context);
  }

  #wait(context: UserExecutionContext): Promise<WebSocketManager> {
    const slots = this.registry.openSlots(context.userId);
    const rescue = this.reclaimer.rescue(slots);
    if (this.isFree(slots)) return Promise.resolve(this.create(context));
    if (!rescue) {
      this.registry.forget(slots);
      throw this.#limitError(context.userId);
    }
    const arrival = new Promise<WebSocketManager>((resolve, reject) => {
      const admit = (): void => {
        if (this.#isClosed) reject(new ManagerClosedError('createManager'));
        else if (this.isFree(slots)) resolve(this.create(context));
        else reject(this.#limitError(context.userId));
      };
      const waiter = { admit };
      slots.queue(waiter);
      void rescue.then(() => {
        if (!slots.unqueue(waiter)) return;
        // The rescue has ended without a slot for this arrival. `admit` checks once more, because `setLimits` may have
        // raised a limit meanwhile; otherwise it rejects the arrival.
        admit();
        this.registry.forget(slots);
      });
    });
    return this.#remember(context.connectionId, arrival);
  }

  #remember(connectionId: string, arrival: Promise<WebSocketManager>): Promise<WebSocketManager> {
    this.#arrivals.set(connectionId, arrival);
    const forget = (): void => {
      // In a cluster, the promise of the lease has replaced the promise of the local slot: keep it.
      if (this.#arrivals.get(connectionId) === arrival) this.#arrivals.delete(connectionId);
    };
    arrival.then(forget, forget);
    return arrival;
  }

  // Leases a slot of the cluster after the slot of this process is taken. A manager that is closed meanwhile releases
  // both.
  async #lease(
    reserved: WebSocketManager | Promise<WebSocketManager>,
    { slots }: Cluster,
  ): Promise<WebSocketManager> {
    const manager = await reserved;
    if (!manager.isActive) throw new ManagerClosedError('createManager');
    const { userId, connectionId } = manager.context;
    manager.lease = slots.lease(userId, connectionId);
    const answer = await manager.lease.answer;
    if (!manager.isActive) throw new ManagerClosedError('createManager');
    if (answer === 'held' || answer === 'unleased') return manager;
    void manager.beginClose(CloseCode.TOO_MANY_CONNECTIONS, 'no slot in the cluster', 'server');
    if (answer === 'unavailable') throw new ClusterUnavailableError(retryAfterMs());
    this.limitHits += 1;
    throw new ManagerLimitError(userId, this.limits.maxManagersPerUser, retryAfterMs());
  }

  #nodeLimit(): number {
    const { maxManagersPerUser } = this.limits;
    return this.cluster ? this.cluster.slots.nodeLimit(maxManagersPerUser) : maxManagersPerUser;
  }

  #limitError(userId: string): ManagerLimitError {
    this.limitHits += 1;
    const held = this.registry.slotsOf(userId)?.held ?? 0;
    return held >= this.#nodeLimit()
      ? new ManagerLimitError(userId, this.limits.maxManagersPerUser, retryAfterMs())
      : new ManagerLimitError(userId, this.limits.maxManagers, retryAfterMs(), 'process');
  }
}

function retryAfterMs(): number {
  return Math.ceil(spreadFrom(RETRY_AFTER_MS));
}
