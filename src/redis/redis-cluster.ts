import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';

import type { Release } from '../clock/clock.js';
import { withDeadline } from '../clock/deadline.js';
import type { Cluster, ClusterDefinition, ClusterHost } from '../cluster/cluster.js';
import type { ClusterNode, ClusterStatus } from '../cluster/cluster-status.js';
import type { HistoryBounds } from '../history/thread-history.js';
import { Availability } from './availability.js';
import { type ConnectionPurpose, databaseOf, RedisConnections } from './connections.js';
import { evictionWarning, ServerClock } from './server-checks.js';
import { Keys, nodeOf } from './keys.js';
import { isNodeId } from './messages.js';
import { LeaseRegistry } from './lease-registry.js';
import { LeaseTable } from './lease-table.js';
import { NodeBus } from './node-bus.js';
import { RedisDelivery } from './redis-delivery.js';
import { LOOK_MS, Revocations } from './revocations.js';
import { isDenied, missingPermissions, permissionWarning } from './permissions.js';
import { ServerOffset } from './server-offset.js';
import { RedisHistory } from './redis-history.js';
import { NodeRegistry } from './node-registry.js';
import { Reconciliation } from './reconciliation.js';
import { answerWithin, RedisTimeoutError } from './redis-deadline.js';
import {
  type RedisClusterOptions,
  type RedisClusterSettings,
  resolveRedisOptions,
} from './redis.options.js';
import { RedisSlots } from './redis-slots.js';
import { Renewal } from './renewal.js';
import { Unreadable } from './unreadable.js';

/** Answers that may stay out in a row before the connection itself is taken for dead. */
const PATIENCE = 3;

/**
 * Counts the connections of a user over all nodes that use the same Redis.
 *
 * @example `WebSocketIsolationModule.forRoot({ cluster: redisCluster({ url: 'redis://localhost:6379' }) })`
 * @throws {InvalidOptionsError} naming every option that breaks its rule
 */
export function redisCluster(options: RedisClusterOptions): ClusterDefinition {
  const settings = resolveRedisOptions(options);
  return { create: (host) => new RedisCluster(host, settings) };
}

/** This process's membership in a cluster over Redis. */
const HEARING = 'This node hears the others again.';
const DEAF =
  'This node hears nothing from the others: its connection for messages cannot subscribe, or carries nothing. ' +
  'Messages to users here that other nodes send do not arrive; threads with `resume` are read from Redis, late. ' +
  'It is tried again and again. Look for `maxclients`, for the rights of the user of Redis, and for a firewall or proxy in between.';

export class RedisCluster implements Cluster {
  /** 128 random bits, new at every start: nothing an earlier process held is taken for ours. */
  readonly nodeId = randomBytes(16).toString('hex');
  readonly slots: RedisSlots;
  readonly delivery: RedisDelivery;

  readonly #startedAt: number;
  readonly #keys: Keys;
  readonly #availability: Availability;
  readonly #connections: RedisConnections;
  readonly #table: LeaseTable;
  readonly #leases: LeaseRegistry;
  readonly #reconciliation: Reconciliation;
  readonly #nodes: NodeRegistry;
  readonly #bus: NodeBus;
  readonly #renewal: Renewal;
  readonly #serverClock: ServerClock;
  readonly #unreadable: Unreadable;
  readonly #revocations: Revocations;
  #known: readonly ClusterNode[] = [];
  #isDraining = false;
  #timeoutsInARow = 0;
  #history: RedisHistory | undefined;
  #isChecked = false;
  readonly #saidMissing = new Set<string>();
  #whenJoined: (() => void) | undefined;
  #stopHeartbeat: Release | undefined;
  #stopLooking: Release | undefined;

  constructor(
    private readonly host: ClusterHost,
    private readonly settings: Readonly<RedisClusterSettings>,
  ) {
    const { nodeId } = this;
    const { clock } = host;
    this.#startedAt = clock.epoch();
    this.#keys = new Keys(settings.keyPrefix, settings.secret, databaseOf(settings));
    this.#availability = new Availability(host, settings.onUnavailable, nodeId);
    this.#connections = new RedisConnections(
      clock,
      settings,
      (purpose, error) => this.#onError(purpose, error),
      (purpose) => this.#onReady(purpose),
    );
    const leases = (): ReturnType<RedisConnections['get']> => this.#connections.get('leases');
    this.#table = new LeaseTable(this.#keys, nodeId, clock, settings.leaseMs);
    this.#unreadable = new Unreadable(clock, (what) => this.#availability.warn(what));
    this.#nodes = new NodeRegistry(leases, this.#keys, settings.heartbeatMs, this.#unreadable);
    this.#bus = new NodeBus(
      this.#connections,
      this.#keys,
      clock,
      nodeId,
      this.#unreadable,
      () => this.#otherNodes(),
      (error) => this.#availability.stumble(error),
      (missing) => this.#warnOfMissing(missing),
      (isHearing) => this.#availability.warn(isHearing ? HEARING : DEAF),
    );
    this.#renewal = new Renewal(clock, settings, this.#availability, () => this.#renew());
    this.#serverClock = new ServerClock(clock, (what) => this.#availability.warn(what));
    this.#leases = new LeaseRegistry(leases, nodeId, settings.leaseMs);
    this.#revocations = this.#createRevocations(this.#leases);
    this.#reconciliation = new Reconciliation({
      clock,
      settings,
      nodeId,
      table: this.#table,
      registry: this.#leases,
      bus: this.#bus,
      holder: () => this.slots.holder,
      isOverslept: () => this.#renewal.isOverslept,
      stumbled: (error) => this.#availability.stumble(error),
    });
    this.delivery = new RedisDelivery(
      this.#connections,
      this.#keys,
      this.#bus,
      nodeId,
      this.#revocations,
      () => this.#otherNodes(),
      (error) => this.#onLost(error),
    );
    this.slots = new RedisSlots(
      clock,
      settings,
      nodeId,
      this.#table,
      this.#leases,
      this.#availability,
      this.#renewal,
      this.#reconciliation,
      this.#bus,
    );
  }

  createHistory(bounds: HistoryBounds): RedisHistory {
    this.#history = new RedisHistory(
      {
        clock: this.host.clock,
        connections: this.#connections,
        keys: this.#keys,
        bus: this.#bus,
        nodeId: this.nodeId,
        commandTimeoutMs: this.settings.commandTimeoutMs,
        unreadable: this.#unreadable,
        stumbled: (error) => this.#availability.stumble(error),
        lost: (_thread, error) => this.#onLost(error),
      },
      bounds,
    );
    return this.#history;
  }

  async join(): Promise<void> {
    const { clock } = this.host;
    await this.#connections.load();
    if (this.#availability.hasLeft) return;
    this.#renewal.start();
    this.#stopHeartbeat = clock.every(this.settings.heartbeatMs, () => void this.#heartbeat());
    this.#stopLooking = clock.every(LOOK_MS, () => void this.#look());
    this.#connections.get('leases');
    this.#connections.get('subscribe');
    this.#connections.get('publish');
    if (this.#history) this.#connections.get('streams');
    await withDeadline(clock, this.settings.commandTimeoutMs, this.#joined());
    if (this.#availability.state === 'joining') {
      this.#availability.fail(new Error('Redis does not answer'));
    }
  }

  async drain(): Promise<void> {
    this.#isDraining = true;
    void this.#heartbeat();
    await this.#reconciliation
      .releaseAll()
      .catch((error: unknown) => this.#availability.stumble(error));
  }

  async leave(): Promise<void> {
    if (this.#availability.hasLeft) return;
    this.#stopHeartbeat?.();
    this.#stopLooking?.();
    this.#renewal.stop();
    this.#reconciliation.stop();
    await this.#history?.leave();
    const isUp = this.#availability.isUp;
    this.#availability.leave();
    if (isUp) {
      const left = this.#nodes.leave(this.nodeId).catch(() => undefined);
      await withDeadline(this.host.clock, this.settings.commandTimeoutMs, left);
    }
    this.#connections.close();
  }

  status(): ClusterStatus {
    const { state, since, failures, lastError } = this.#availability;
    const { held, unleased } = this.#table.count();
    return {
      state,
      since,
      nodeId: this.nodeId,
      nodes: this.#known,
      leases: { held, unleased },
      counters: { failures, ...this.#reconciliation.counters, unreadable: this.#unreadable.count },
      renewedAt: this.#renewal.renewedAt,
      ...(lastError !== undefined && { lastError }),
    };
  }

  // Resolves with the first renewal that goes through.
  #joined(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenJoined = resolve;
    });
  }

  #onReady(purpose: ConnectionPurpose): void {
    if (this.#availability.hasLeft) return;
    if (purpose === 'subscribe') void this.#listen();
    if (purpose === 'streams') {
      this.#history?.hurry();
      // Redis may have come back with less than it had.
      this.#history?.doubtAll();
    }
    // It may have lost everything while it was away: put back what is held here.
    if (purpose !== 'leases') return;
    void this.#renewal.now();
    if (!this.#isChecked) void this.#check();
  }

  // What was sent while nobody listened is lost on the way, not in the history.
  async #listen(): Promise<void> {
    await this.#bus.listen();
    void this.#look();
    this.#history?.doubtAll();
  }

  #onLost(error: unknown): void {
    this.#availability.stumble(error);
    this.host.journal.record('delivery-failed', { error });
  }

  #onError(purpose: ConnectionPurpose, error: Error): void {
    if (this.#availability.hasLeft) return;
    // What this user of Redis may not do is no sign of Redis being away.
    if (purpose !== 'leases' || isDenied(error)) {
      this.#availability.stumble(error);
      return;
    }
    this.#renewal.failed(error);
  }

  async #renew(): Promise<void> {
    const { restored } = this.#reconciliation.counters;
    const wasUp = this.#availability.isUp;
    try {
      await this.#beat();
      await this.#revocations.look().catch((error: unknown) => this.#tolerate(error));
      await this.#reconciliation.all();
    } catch (error) {
      this.#noteTimeout(error);
      throw error;
    }
    this.#timeoutsInARow = 0;
    const leases = this.#table.count().held;
    this.#availability.recover({ nodes: this.#known.length, leases });
    this.#whenJoined?.();
    // While a user was not known to be here, their messages went elsewhere.
    if (!wasUp || this.#reconciliation.counters.restored > restored) this.#history?.doubtAll();
  }

  // Nobody on this node was disconnected from elsewhere without having been told.
  async #look(): Promise<void> {
    if (!this.#availability.isUp) return;
    const askedAt = this.host.clock.now();
    try {
      await this.#revocations.look();
      this.#renewal.informed(askedAt);
    } catch (error) {
      this.#availability.stumble(error);
    }
  }

  #createRevocations(registry: LeaseRegistry): Revocations {
    const { host, settings, nodeId } = this;
    return new Revocations({
      clock: host.clock,
      connection: () => this.#connections.get('leases'),
      keys: this.#keys,
      bus: this.#bus,
      nodeId,
      commandTimeoutMs: settings.commandTimeoutMs,
      seesAllReceivers: () => this.#connections.seesAllReceivers,
      unreadable: this.#unreadable,
      offset: new ServerOffset(host.clock),
      holders: async (userId) => {
        const members = await registry.peek(this.#keys.ofUser(this.#keys.hashOf(userId)));
        return [...new Set(members.map(nodeOf))].filter(isNodeId);
      },
      known: () => this.#otherNodes(),
      failed: (error) => this.#availability.stumble(error),
    });
  }

  #otherNodes(): string[] {
    return this.#known.map((node) => node.nodeId).filter((known) => known !== this.nodeId);
  }

  async #heartbeat(): Promise<void> {
    void this.#bus.check();
    if (!this.#availability.isUp) return;
    try {
      await this.#beat();
    } catch (error) {
      this.#renewal.failed(error);
    }
  }

  async #beat(): Promise<void> {
    const { clock } = this.host;
    const askedAt = clock.now();
    const asked = this.#nodes.beat(this.#self);
    const { serverTime, nodes } = await answerWithin(clock, this.settings.commandTimeoutMs, asked);
    if (this.#serverClock.heard(serverTime, askedAt)) this.#renewal.doubt();
    this.#leases.heard(serverTime);
    this.#known = nodes;
  }

  get #self(): ClusterNode {
    return {
      nodeId: this.nodeId,
      name: this.settings.nodeName ?? `${hostname()}:${process.pid}`,
      startedAt: this.#startedAt,
      connections: this.#table.size,
      isDraining: this.#isDraining,
    };
  }

  // A line that was cut without a word stays open for a quarter of an hour, and nothing comes over it.
  #noteTimeout(error: unknown): void {
    this.#timeoutsInARow = error instanceof RedisTimeoutError ? this.#timeoutsInARow + 1 : 0;
    if (this.#timeoutsInARow < PATIENCE) return;
    this.#timeoutsInARow = 0;
    this.#connections.replace('leases');
  }

  // What is closed to this user of Redis was said when it was found out; the rest has to work.
  #tolerate(error: unknown): void {
    if (!isDenied(error)) throw error;
    this.#availability.stumble(error);
  }

  // Each right once, whoever misses it first.
  #warnOfMissing(missing: readonly string[]): void {
    const unsaid = missing.filter((right) => !this.#saidMissing.has(right));
    for (const right of unsaid) this.#saidMissing.add(right);
    if (unsaid.length > 0) this.#availability.warn(permissionWarning(unsaid));
  }

  async #check(): Promise<void> {
    this.#isChecked = true;
    const connection = this.#connections.get('leases');
    try {
      this.#warnOfMissing(await missingPermissions(connection, this.#keys));
      const warning = await evictionWarning(connection);
      if (warning !== undefined) this.#availability.warn(warning);
    } catch (error) {
      // It is asked again over the next line.
      this.#isChecked = false;
      this.#availability.stumble(error);
    }
  }
}
