import { Inject, Injectable, Optional } from '@nestjs/common';

import { type Clock, CLOCK } from '../clock/clock.js';
import { CloseCode, type CloseReason } from '../closing/close-codes.js';
import type { ClusterTarget, ConnectionInfo } from '../cluster/cluster-delivery.js';
import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { assertIdText } from '../context/identifier.js';
import { assertContext, type UserExecutionContext } from '../context/user-execution-context.js';
import { Journal, subjectOf } from '../journal/journal.js';
import { ByteBudget } from './byte-budget.js';
import { isThenable } from './bounded-run.js';
import { endingFor } from './ending.js';
import { type DisconnectOptions, type DisconnectReport, Everywhere } from './everywhere.js';
import { type FactoryStats, readFactoryStats } from './factory-stats.js';
import { assertLimits, Limits } from './limits.js';
import { assertSocket, type ManagedSocket } from './managed-socket.js';
import { recordClosing, recordDisposed } from './manager-events.js';
import type { ManagerHost } from './manager-host.js';
import { ManagerRegistry } from './manager-registry.js';
import {
  ClusterUnavailableError,
  IsolationViolationError,
  ManagerClosedError,
  ManagerLimitError,
} from './manager.errors.js';
import { SLOT_RECLAIMER, type SlotReclaimer } from './slot-reclaimer.js';
import { managerOfSocket } from './manager-of-socket.js';
import type { UserSlots } from './user-slots.js';
import { WebSocketManager } from './web-socket-manager.js';

/** What `retryAfterMs` says: about the time in which a client that was cut is found and removed. */
const RETRY_AFTER_MS = 5_000;

/**
 * Makes, finds, bounds and removes the managers of this process. The one singleton: it holds no
 * connection's data, only who there is.
 */
@Injectable()
export class WebSocketManagerFactory {
  /** @internal Events of the factory itself; what can be counted in the registry is not counted here. */
  readonly counters = { limitHits: 0, securityViolations: 0, connections: 0 };

  /** @internal Connections on whichever node they are. */
  readonly everywhere: Everywhere;

  readonly #host: ManagerHost<WebSocketManager>;
  // Those that wait for a slot, here or in the cluster: the same context asked for twice is the same arrival.
  readonly #arrivals = new Map<string, Promise<WebSocketManager>>();
  #isShutDown = false;

  /** @internal */
  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: ManagerRegistry,
    private readonly limits: Limits,
    private readonly journal: Journal,
    @Inject(SLOT_RECLAIMER) private readonly reclaimer: SlotReclaimer,
    @Optional() @Inject(CLUSTER) private readonly cluster?: Cluster,
  ) {
    this.#host = this.#createHost();
    this.everywhere = new Everywhere(registry, clock, journal, cluster);
  }

  /**
   * The manager of a context. The slot of this process is taken before this returns its promise; only
   * where the limit is reached it waits for an emergency cleanup, and in a cluster for the cluster's
   * answer. The same context gives the same manager.
   *
   * @throws {InvalidContextError} for a context that this library has not made: a copy, a look-alike
   * @throws {TypeError} for a socket that cannot do what one of `ws` can
   * @throws {ManagerLimitError} when all slots are in use, here or in the cluster
   * @throws {ClusterUnavailableError} when the cluster is away and `onUnavailable` is `'closed'`
   * @throws {IsolationViolationError} when the connection or the socket belongs to somebody else
   * @throws {ManagerClosedError} after `shutdown()`
   */
  createManager(
    context: UserExecutionContext,
    { socket }: { socket?: ManagedSocket } = {},
  ): Promise<WebSocketManager> {
    try {
      assertContext(context);
      if (socket) assertSocket(socket);
      this.#assertSocketOwn(context, socket);
      const manager = this.arrive(context);
      const made = socket ? this.#withSocket(manager, socket) : manager;
      // A handler may wait for the end of its own connection: to make room, or for the same connection to be made again.
      return isThenable(made) ? endingFor(Promise.resolve(made)) : Promise.resolve(made);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @internal As {@link createManager}, at once where no slot has to be waited for; throws at once too. */
  arrive(context: UserExecutionContext): WebSocketManager | Promise<WebSocketManager> {
    this.#assertOwn(context);
    return this.#find(context) ?? this.#arrive(context);
  }

  /** The manager of a connection, as long as it is not closing. */
  getManager(connectionId: string): WebSocketManager | undefined {
    const manager = this.registry.get(connectionId);
    return manager?.isActive ? manager : undefined;
  }

  /** The user's managers on this process that are not closing. */
  managersOf(userId: string): WebSocketManager[] {
    const managers = this.registry.slotsOf(userId)?.managers() ?? [];
    return managers.filter((manager) => manager.isActive);
  }

  /** The managers of one thread of the user: one for each tab that has it open. */
  managersOfThread(userId: string, threadId: string): WebSocketManager[] {
    return this.managersOf(userId).filter(({ context }) => context.threadId === threadId);
  }

  /**
   * Whether the user could get a manager right now without any cleanup, as far as this process knows: in a
   * cluster the other nodes may hold the rest of the slots, and only asking for one tells.
   */
  hasCapacity(userId: string): boolean {
    return this.#hasFreeSlot(this.registry.slotsOf(userId));
  }

  /**
   * Closes and disposes the manager of a connection. True once, then false. As all methods that end connections: where a
   * handler, hook or disposer of a connection awaits it, that connection's end does not wait for it in turn.
   *
   * @throws {TypeError} for an id that is no text
   */
  cleanupManager(connectionId: string): Promise<boolean> {
    return endingFor(this.#cleanupOne(connectionId));
  }

  async #cleanupOne(connectionId: string): Promise<boolean> {
    assertIdText(connectionId, 'connectionId');
    const manager = this.getManager(connectionId);
    await manager?.beginClose(CloseCode.NORMAL, 'cleaned up', 'cleanup');
    return manager !== undefined;
  }

  /**
   * Closes and disposes all managers of a user, pinned ones too. Resolves to how many there were.
   *
   * @throws {TypeError} for an id that is no text
   */
  cleanupUser(userId: string, reason = 'cleaned up'): Promise<number> {
    return endingFor(this.#cleanupUser(userId, reason));
  }

  async #cleanupUser(userId: string, reason: string): Promise<number> {
    assertIdText(userId, 'userId');
    return this.#closeAll(this.managersOf(userId), CloseCode.NORMAL, reason, 'cleanup');
  }

  /**
   * Ends connections, in a cluster on whichever node they are: all of a user, those of one thread, or one.
   * Meant are those that are there when it is called; who comes later is welcome. A node that does not
   * answer in time (within ten seconds) ends them before it handles another message of them; the report
   * names it, and a `disconnect-unconfirmed` event does.
   *
   * @param options the close code, 4401 by default, and the reason
   * @throws {RangeError} for a code that may not be sent
   * @throws {TypeError} for an id that is no text
   */
  disconnect(target: ClusterTarget, options: DisconnectOptions = {}): Promise<DisconnectReport> {
    return endingFor(this.everywhere.disconnect(target, options));
  }

  /**
   * Ends all connections of a user, for example after a logout; in a cluster on every node. Resolves to
   * how many there were, without those of nodes that do not answer in time; {@link disconnect} names these.
   *
   * @param options the close code, 4401 by default, and the reason
   * @throws {RangeError} for a code that may not be sent
   * @throws {TypeError} for an id that is no text
   */
  disconnectUser(userId: string, options: DisconnectOptions = {}): Promise<number> {
    return endingFor(this.everywhere.disconnectCounted({ userId }, options));
  }

  /**
   * Ends all connections of one thread of a user; as {@link disconnectUser}.
   *
   * @throws {RangeError} for a code that may not be sent
   * @throws {TypeError} for an id that is no text: a thread that is `undefined` is not all threads
   */
  disconnectThread(
    userId: string,
    threadId: string,
    options: DisconnectOptions = {},
  ): Promise<number> {
    return endingFor(this.everywhere.disconnectThread(userId, threadId, options));
  }

  /** The user's connections, in a cluster on every node that answers in time. {@link managersOf} has those of this process. */
  connectionsOf(userId: string): Promise<ConnectionInfo[]> {
    return this.everywhere.connectionsOf(userId);
  }

  /** Removes what is dead, was never attached, or is stale, of all users. Resolves to how many. */
  cleanupExpired(): Promise<number> {
    return endingFor(this.reclaimer.expire());
  }

  /**
   * Changes limits at run time. Where there is more than the new limit allows, the rest is closed in the
   * order of cleanup; pinned managers stay until their work is done. In a cluster each node counts all
   * connections against its own limit: change it on every node, and what they hold together above it
   * goes when it is lost or ends by itself.
   *
   * @throws {RangeError} for anything but whole numbers from 1 up
   * @throws {TypeError} for a name that no limit has
   */
  setLimits(limits: { maxManagersPerUser?: number; maxManagers?: number }): void {
    assertLimits(limits);
    this.limits.maxManagersPerUser = limits.maxManagersPerUser ?? this.limits.maxManagersPerUser;
    this.limits.maxManagers = limits.maxManagers ?? this.limits.maxManagers;
    this.reclaimer.trim();
  }

  /** The numbers of this process, derived from the registry at this instant. */
  getStats(): FactoryStats {
    const { registry, limits, counters, clock, cluster } = this;
    return readFactoryStats(registry, limits, counters, clock, cluster);
  }

  /** Closes every manager and refuses new ones. Resolves when all are disposed. */
  shutdown(): Promise<void> {
    this.#isShutDown = true;
    const all = [...this.registry.all()];
    const ended = this.#closeAll(all, CloseCode.GOING_AWAY, 'server shutting down', 'shutdown');
    return endingFor(ended.then(() => undefined));
  }

  /** @internal What is critical is recorded with this from now on. */
  recordCriticalWith(record: NonNullable<ManagerHost<WebSocketManager>['recordCritical']>): void {
    this.#host.recordCritical = record;
  }

  /** @internal Somebody used what is not theirs. */
  violation(context: UserExecutionContext, what: string): IsolationViolationError {
    this.counters.securityViolations += 1;
    this.journal.record('isolation-violation', { subject: subjectOf(context), what });
    return new IsolationViolationError(what);
  }

  /** @internal Gives a manager's slot back before its disposal has ended; hands it to whoever waits. */
  releaseSlot(manager: WebSocketManager): void {
    const slots = this.registry.releaseSlot(manager);
    if (!slots) return;
    manager.lease?.release();
    while (slots.waiters.length > 0 && this.#hasFreeSlot(slots)) slots.waiters.shift()!.admit();
    this.registry.forget(slots);
  }

  #assertOwn(context: UserExecutionContext): void {
    assertContext(context);
    if (this.#isShutDown) throw new ManagerClosedError('createManager');
    const known = this.registry.get(context.connectionId);
    if (known && known.context.userId !== context.userId) {
      throw this.violation(context, 'This connection belongs to another user');
    }
  }

  #assertSocketOwn(context: UserExecutionContext, socket: ManagedSocket | undefined): void {
    const owner = socket && managerOfSocket(socket);
    if (owner && owner !== this.registry.get(context.connectionId)) {
      throw this.violation(context, 'This socket belongs to another connection');
    }
  }

  #find(context: UserExecutionContext): WebSocketManager | Promise<WebSocketManager> | undefined {
    const known = this.registry.get(context.connectionId);
    if (known?.isActive) return this.#arrivals.get(context.connectionId) ?? known;
    // The earlier one is on its way out: wait for its end, or two would share one connection id.
    if (known) return known.closed().then(() => this.createManager(context));
    return this.#arrivals.get(context.connectionId);
  }

  #arrive(context: UserExecutionContext): WebSocketManager | Promise<WebSocketManager> {
    const reserved = this.#reserve(context);
    if (!this.cluster) return reserved;
    return this.#remember(context.connectionId, this.#lease(reserved, this.cluster));
  }

  #reserve(context: UserExecutionContext): WebSocketManager | Promise<WebSocketManager> {
    const slots = this.registry.slotsOf(context.userId);
    const relief =
      slots && slots.held >= this.limits.crowdedFrom ? this.reclaimer.relieve(slots) : undefined;
    if (this.#hasFreeSlot(this.registry.slotsOf(context.userId))) {
      const manager = this.#add(context);
      return relief ? relief.then(() => manager) : manager;
    }
    return this.#waitForSlot(context);
  }

  #add(context: UserExecutionContext): WebSocketManager {
    const manager = new WebSocketManager(context, this.#host);
    if (this.options.leaks.captureCreationSite) manager.creationSite = new Error('made here').stack;
    this.registry.add(manager);
    this.reclaimer.watch(manager.slots!);
    if (this.journal.isHeard('manager-created')) {
      this.journal.record('manager-created', { subject: subjectOf(context) });
    }
    return manager;
  }

  #waitForSlot(context: UserExecutionContext): Promise<WebSocketManager> {
    const slots = this.registry.openSlots(context.userId);
    const rescue = this.reclaimer.rescue(slots);
    if (this.#hasFreeSlot(slots)) return Promise.resolve(this.#add(context));
    if (!rescue) {
      this.registry.forget(slots);
      throw this.#limitError(context.userId);
    }
    const arrival = new Promise<WebSocketManager>((resolve, reject) => {
      const admit = (): void => {
        if (this.#isShutDown) reject(new ManagerClosedError('createManager'));
        else if (this.#hasFreeSlot(slots)) resolve(this.#add(context));
        else reject(this.#limitError(context.userId));
      };
      const waiter = { admit };
      slots.waiters.push(waiter);
      void rescue.then(() => {
        const place = slots.waiters.indexOf(waiter);
        if (place === -1) return;
        slots.waiters.splice(place, 1);
        // Nothing came free by closing; a limit may have been raised meanwhile.
        admit();
        this.registry.forget(slots);
      });
    });
    return this.#remember(context.connectionId, arrival);
  }

  #remember(connectionId: string, arrival: Promise<WebSocketManager>): Promise<WebSocketManager> {
    this.#arrivals.set(connectionId, arrival);
    const forget = (): void => {
      // In a cluster the wait for a slot of this process is the first part of a longer one.
      if (this.#arrivals.get(connectionId) === arrival) this.#arrivals.delete(connectionId);
    };
    arrival.then(forget, forget);
    return arrival;
  }

  // The slot of this process is taken; now the one that counts everywhere. Whatever ends the manager
  // meanwhile gives both back.
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
    if (answer === 'unavailable') throw new ClusterUnavailableError(RETRY_AFTER_MS);
    this.counters.limitHits += 1;
    throw new ManagerLimitError(userId, this.limits.maxManagersPerUser, RETRY_AFTER_MS);
  }

  async #withSocket(
    pending: WebSocketManager | Promise<WebSocketManager>,
    socket: ManagedSocket,
  ): Promise<WebSocketManager> {
    const manager = await pending;
    if (manager.socket === socket) return manager;
    const owner = managerOfSocket(socket);
    if (owner || manager.socket) {
      throw this.violation(manager.context, 'This socket belongs to another connection');
    }
    manager.attach(socket);
    manager.markReady();
    return manager;
  }

  #hasFreeSlot(slots: UserSlots | undefined): boolean {
    return (slots?.held ?? 0) < this.#nodeLimit() && this.registry.size < this.limits.maxManagers;
  }

  #nodeLimit(): number {
    const { maxManagersPerUser } = this.limits;
    return this.cluster ? this.cluster.slots.nodeLimit(maxManagersPerUser) : maxManagersPerUser;
  }

  #limitError(userId: string): ManagerLimitError {
    this.counters.limitHits += 1;
    const held = this.registry.slotsOf(userId)?.held ?? 0;
    return held >= this.#nodeLimit()
      ? new ManagerLimitError(userId, this.limits.maxManagersPerUser, RETRY_AFTER_MS)
      : new ManagerLimitError(userId, this.limits.maxManagers, RETRY_AFTER_MS, 'process');
  }

  async #closeAll(
    managers: WebSocketManager[],
    code: number,
    reason: string,
    initiator: CloseReason['initiator'],
  ): Promise<number> {
    await Promise.all(managers.map((manager) => manager.beginClose(code, reason, initiator)));
    return managers.length;
  }

  #createHost(): ManagerHost<WebSocketManager> {
    const { registry, journal, clock, options } = this;
    return {
      clock,
      options,
      waiting: new ByteBudget(options.outbound.maxBufferedBytesTotal),
      touched: (manager) => registry.touch(manager),
      rearranged: (manager) => registry.rearrange(manager),
      attached: (manager) => {
        this.counters.connections += 1;
        registry.pings.add(manager);
      },
      pinged: (manager) => registry.pings.pinged(manager),
      answered: (manager) => registry.pings.answered(manager),
      ponged: (manager, roundTripMs) => {
        if (!journal.isHeard('ping-answered')) return;
        journal.record('ping-answered', { subject: subjectOf(manager.context), roundTripMs });
      },
      closing: (manager, reason) => {
        registry.startClosing(manager);
        recordClosing(journal, manager, reason);
      },
      slotGivenUp: (manager) => this.releaseSlot(manager),
      socketGone: (manager) => {
        // Somebody waits for this slot; what is left of the disposal needs none.
        if (manager.slots && manager.slots.waiters.length > 0) this.releaseSlot(manager);
      },
      disposed: (manager, reason) => {
        this.releaseSlot(manager);
        registry.remove(manager);
        recordDisposed(journal, manager, reason, clock.now());
      },
      abandoned: (manager, label, pending) => {
        const { connectionId, threadId, isolationKey } = manager.context;
        const { creationSite } = manager;
        const subject = { connectionId, threadId, isolationKey };
        const step = { ...subject, label, abandonedAt: clock.now(), creationSite };
        registry.abandoned.add(step, pending);
      },
      disposalFault: (manager, outcome, error) => {
        const subject = subjectOf(manager.context);
        journal.record('disposal-fault', { subject, outcome, error });
      },
      recordCritical: undefined,
      undelivered: (manager, { length: messages }) => {
        const subject = subjectOf(manager.context);
        journal.record('critical-undelivered', { subject, messages });
      },
    };
  }
}
