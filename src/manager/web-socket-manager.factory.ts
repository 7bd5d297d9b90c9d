import { Inject, Injectable, Optional } from '@nestjs/common';

import type { ClusterTarget, ConnectionInfo } from '../cluster/cluster-delivery.js';
import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { assertContext, type UserExecutionContext } from '../context/user-execution-context.js';
import { Journal } from '../journal/journal.js';
import { isThenable } from '../structures/maybe-async.js';
import type { Unplug } from '../structures/plug.js';
import { type Clock, CLOCK } from '../time/clock.js';
import { assertSocket, type ManagedSocket } from '../wire/managed-socket.js';
import {
  ClusterConnections,
  type DisconnectOptions,
  type DisconnectReport,
} from './cluster-connections.js';
import { endingFor } from './ending.js';
import { type FactoryCounters, type FactoryStats, readFactoryStats } from './factory-stats.js';
import { Limits } from './limits.js';
import { type CriticalRecorder, ManagerBookkeeping } from './manager-bookkeeping.js';
import { ManagerRegistry } from './manager-registry.js';
import { IsolationViolationError, ManagerClosedError } from './manager.errors.js';
import { Ownership } from './ownership.js';
import { SLOT_RECLAIMER, type SlotReclaimer } from './slot-reclaimer.js';
import { SlotReservations } from './slot-reservations.js';
import { WebSocketManager } from './web-socket-manager.js';

/**
 * Makes, finds, bounds and removes the managers of this process. The one singleton: it holds no
 * connection's data, only who there is.
 */
@Injectable()
export class WebSocketManagerFactory {
  /** @internal Connections on whichever node of the cluster they are. */
  readonly clusterConnections: ClusterConnections;

  readonly #bookkeeping: ManagerBookkeeping;
  readonly #reservations: SlotReservations;
  readonly #ownership: Ownership;
  #isShutDown = false;

  /** @internal */
  constructor(
    @Inject(ISOLATION_OPTIONS) options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: ManagerRegistry,
    private readonly limits: Limits,
    journal: Journal,
    @Inject(SLOT_RECLAIMER) private readonly reclaimer: SlotReclaimer,
    @Optional() @Inject(CLUSTER) private readonly cluster?: Cluster,
  ) {
    const make = (context: UserExecutionContext) => this.#bookkeeping.add(context);
    const reservations = new SlotReservations(registry, limits, reclaimer, cluster, make);
    const release = (manager: WebSocketManager): void => reservations.release(manager);
    this.#reservations = reservations;
    this.#ownership = new Ownership(registry, journal);
    this.#bookkeeping = new ManagerBookkeeping(clock, options, registry, journal, release);
    this.clusterConnections = new ClusterConnections(registry, clock, journal, cluster);
  }

  /** @internal What has happened since the start; what there is stands in the registry. */
  get counters(): FactoryCounters {
    const { limitHits } = this.#reservations;
    const { connections } = this.#bookkeeping;
    return { limitHits, connections, securityViolations: this.#ownership.violations };
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
   * @throws {IsolationViolationError} when the connection belongs to another user, or the socket to another connection
   * @throws {ManagerClosedError} after `shutdown()`
   */
  createManager(
    context: UserExecutionContext,
    { socket }: { socket?: ManagedSocket } = {},
  ): Promise<WebSocketManager> {
    try {
      assertContext(context);
      if (socket) {
        assertSocket(socket);
        this.#ownership.assertSocket(context, socket);
      }
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
    if (this.#isShutDown) throw new ManagerClosedError('createManager');
    this.#ownership.assertConnection(context);
    return this.#find(context) ?? this.#reservations.take(context);
  }

  /** The manager of a connection, as long as it is not closing. */
  getManager(connectionId: string): WebSocketManager | undefined {
    return this.clusterConnections.addressed({ connectionId })[0];
  }

  /** The user's managers on this process that are not closing. */
  managersOf(userId: string): WebSocketManager[] {
    return this.clusterConnections.addressed({ userId });
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
    return this.#reservations.isFree(this.registry.slotsOf(userId));
  }

  /**
   * Closes and disposes the manager of a connection. True once, then false. As all methods that end connections: where a
   * handler, hook or disposer of a connection awaits it, that connection's end does not wait for it in turn.
   *
   * @throws {TypeError} for an id that is no text
   */
  cleanupManager(connectionId: string): Promise<boolean> {
    const cleaned = this.clusterConnections.cleanUp({ connectionId }, 'cleaned up');
    return endingFor(cleaned.then((count) => count > 0));
  }

  /**
   * Closes and disposes all managers of a user, pinned ones too. Resolves to how many there were.
   *
   * @throws {TypeError} for an id that is no text
   */
  cleanupUser(userId: string, reason = 'cleaned up'): Promise<number> {
    return endingFor(this.clusterConnections.cleanUp({ userId }, reason));
  }

  /**
   * Ends connections, in a cluster on whichever node they are: all of a user, those of one thread, or one.
   * Meant are the connections that are there when it is called, and none that come later. A node that does not
   * answer in time (within ten seconds) ends them before it handles another message of them; the report
   * names it, and a `disconnect-unconfirmed` event does.
   *
   * @param options the close code, 4401 by default, and the reason
   * @throws {RangeError} for a code that may not be sent
   * @throws {TypeError} for an id that is no text
   */
  disconnect(target: ClusterTarget, options: DisconnectOptions = {}): Promise<DisconnectReport> {
    return endingFor(this.clusterConnections.disconnect(target, options));
  }

  /**
   * Ends all connections of a user, for example after a logout; in a cluster on every node. Resolves to how many there
   * were, without those of nodes that do not answer in time: {@link disconnect} names these, and says what is thrown.
   */
  disconnectUser(userId: string, options: DisconnectOptions = {}): Promise<number> {
    return endingFor(this.clusterConnections.disconnectCounted({ userId }, options));
  }

  /**
   * Ends all connections of one thread of a user; as {@link disconnectUser}.
   *
   * @throws {TypeError} also for a thread that is `undefined`, which does not mean all threads
   */
  disconnectThread(
    userId: string,
    threadId: string,
    options: DisconnectOptions = {},
  ): Promise<number> {
    return endingFor(this.clusterConnections.disconnectThread(userId, threadId, options));
  }

  /** The user's connections, in a cluster on every node that answers in time. {@link managersOf} has those of this process. */
  connectionsOf(userId: string): Promise<ConnectionInfo[]> {
    return this.clusterConnections.connectionsOf(userId);
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
    this.limits.change(limits);
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
    this.#reservations.close();
    return endingFor(this.clusterConnections.shutDown());
  }

  /** @internal A plug: records what is critical in its thread. Without one, it waits for its connection. */
  useCriticalRecorder(record: CriticalRecorder): Unplug {
    return this.#bookkeeping.useCriticalRecorder(record);
  }

  /** @internal A connection used what belongs to another one: counts it, and returns the error to throw. */
  violation(context: UserExecutionContext, what: string): IsolationViolationError {
    return this.#ownership.violation(context, what);
  }

  #find(context: UserExecutionContext): WebSocketManager | Promise<WebSocketManager> | undefined {
    const known = this.registry.get(context.connectionId);
    if (known?.isActive) return this.#reservations.waiting(context.connectionId) ?? known;
    // The earlier one is on its way out: wait for its end, or two would share one connection id.
    if (known) return known.closed().then(() => this.createManager(context));
    return this.#reservations.waiting(context.connectionId);
  }

  async #withSocket(
    pending: WebSocketManager | Promise<WebSocketManager>,
    socket: ManagedSocket,
  ): Promise<WebSocketManager> {
    const manager = await pending;
    this.#ownership.attach(manager, socket);
    return manager;
  }
}
