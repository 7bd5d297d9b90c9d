import { Inject, Injectable, Optional } from '@nestjs/common';

import type { ClusterTarget, ConnectionInfo } from '../cluster/cluster-delivery.js';
import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { assertContext, type UserExecutionContext } from '../context/user-execution-context.js';
import { Journal } from '../journal/journal.js';
import { isThenable } from '../structures/maybe-async.js';
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
import { ManagerBookkeeping } from './manager-bookkeeping.js';
import { ManagerRegistry } from './manager-registry.js';
import { IsolationViolationError, ManagerClosedError } from './manager.errors.js';
import { Ownership } from './ownership.js';
import { SLOT_RECLAIMER, type SlotReclaimer } from './slot-reclaimer.js';
import { SlotReservations } from './slot-reservations.js';
import { WebSocketManager } from './web-socket-manager.js';

/**
 * Creates, finds, limits and removes the managers of this process. A singleton that holds no data of a connection, only
 * the list of managers.
 */
@Injectable()
export class WebSocketManagerFactory {
  /** @internal Connections on all nodes of the cluster. */
  readonly clusterConnections: ClusterConnections;
  /** @internal Receives the events of managers, and has plugs for higher folders. */
  readonly bookkeeping: ManagerBookkeeping;

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
    const make = (context: UserExecutionContext) => this.bookkeeping.add(context);
    const reservations = new SlotReservations(registry, limits, reclaimer, cluster, make);
    const release = (manager: WebSocketManager): void => reservations.release(manager);
    this.#reservations = reservations;
    this.#ownership = new Ownership(registry, journal);
    const parts = [clock, options, registry, journal, reclaimer] as const;
    this.bookkeeping = new ManagerBookkeeping(...parts, release);
    const topics = () => this.bookkeeping.topics;
    this.clusterConnections = new ClusterConnections(registry, clock, journal, cluster, topics);
  }

  /** @internal Counts of events since the start. The current state is in the registry. */
  get counters(): FactoryCounters {
    const { limitHits } = this.#reservations;
    const { connections, asks, latest } = this.bookkeeping;
    const { violations: securityViolations } = this.#ownership;
    const open = { openAsks: asks.size, latestWaiting: latest.size };
    return { limitHits, connections, securityViolations, ...open };
  }

  /**
   * Returns the manager of a context, creating it if needed; the same context gives the same manager. The slot of this
   * process is taken before the promise is returned. At the limit, the call waits for an emergency cleanup; in a
   * cluster also for the lease.
   *
   * @throws {InvalidContextError} for a context that this library has not created: a copy, a look-alike
   * @throws {TypeError} for a socket without the methods of a `ws` socket
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
      // A handler may wait for the end of its own connection: to make room, or for the same connection to be created
      // again.
      return isThenable(made) ? endingFor(Promise.resolve(made)) : Promise.resolve(made);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** @internal As {@link createManager}, but synchronous, errors included, where the arrival need not wait. */
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
   * Whether the user could get a manager now without cleanup, as far as this process knows. In a cluster, other nodes
   * may hold the remaining slots: only `createManager()` finds out.
   */
  hasCapacity(userId: string): boolean {
    return this.#reservations.isFree(this.registry.slotsOf(userId));
  }

  /**
   * Closes and disposes the manager of a connection. Resolves to true once, then to false. As with all methods that end
   * connections: while a handler, hook or disposer of a connection awaits it, that connection's end does not wait for
   * this code.
   *
   * @throws {TypeError} for an id that is not a string
   */
  cleanupManager(connectionId: string): Promise<boolean> {
    const cleaned = this.clusterConnections.cleanUp({ connectionId }, 'cleaned up');
    return endingFor(cleaned.then((count) => count > 0));
  }

  /**
   * Closes and disposes all managers of a user, pinned ones too. Resolves to their number.
   *
   * @throws {TypeError} for an id that is not a string
   */
  cleanupUser(userId: string, reason = 'cleaned up'): Promise<number> {
    return endingFor(this.clusterConnections.cleanUp({ userId }, reason));
  }

  /**
   * Ends connections on every node of a cluster: all of a user, those of one thread, or a single one. Only connections
   * that exist when it is called are ended. A node that does not confirm within ten seconds ends them before it handles
   * another message of them; the report and a `disconnect-unconfirmed` event name that node.
   *
   * @param options the close code, 4401 by default, and the reason
   * @throws {RangeError} for a code that may not be sent
   * @throws {TypeError} for an id that is not a string
   */
  disconnect(target: ClusterTarget, options: DisconnectOptions = {}): Promise<DisconnectReport> {
    return endingFor(this.clusterConnections.disconnect(target, options));
  }

  /**
   * Ends all connections of a user, for example after a logout; in a cluster on every node. Resolves to their number,
   * without those on nodes that do not confirm in time. {@link disconnect} reports these nodes; it throws the same
   * errors.
   */
  disconnectUser(userId: string, options: DisconnectOptions = {}): Promise<number> {
    return endingFor(this.clusterConnections.disconnectCounted({ userId }, options));
  }

  /**
   * Ends all connections of one thread of a user; as {@link disconnectUser}.
   *
   * @throws {TypeError} also when the thread is `undefined`, which does not mean all threads
   */
  disconnectThread(
    userId: string,
    threadId: string,
    options: DisconnectOptions = {},
  ): Promise<number> {
    return endingFor(this.clusterConnections.disconnectThread(userId, threadId, options));
  }

  /** The user's connections on all nodes that respond in time. {@link managersOf} returns those of this process. */
  connectionsOf(userId: string): Promise<ConnectionInfo[]> {
    return this.clusterConnections.connectionsOf(userId);
  }

  /** Removes the managers of all users that were never attached or are stale. Resolves to their number. */
  cleanupExpired(): Promise<number> {
    return endingFor(this.reclaimer.expire());
  }

  /**
   * Changes limits at run time. Managers above a new limit are closed in the order of cleanup; pinned ones stay until
   * their work is done. In a cluster, each node compares all connections with its own limit, so change it on every
   * node. Connections that exceed it only together stay until they lose their slot or end by themselves.
   *
   * @throws {RangeError} for a value that is not a whole number from 1 up
   * @throws {TypeError} for an unknown limit name
   */
  setLimits(limits: { maxManagersPerUser?: number; maxManagers?: number }): void {
    this.limits.change(limits);
    this.reclaimer.trim();
  }

  /** The statistics of this process, derived from the registry at this instant. */
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

  /** @internal A connection used something of another one: counts the violation, and returns the error to throw. */
  violation(context: UserExecutionContext, what: string): IsolationViolationError {
    return this.#ownership.violation(context, what);
  }

  #find(context: UserExecutionContext): WebSocketManager | Promise<WebSocketManager> | undefined {
    const known = this.registry.get(context.connectionId);
    if (known?.isActive) return this.#reservations.waiting(context.connectionId) ?? known;
    // The earlier manager is closing: wait for its end, or two managers would share one connection id.
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
