import { randomBytes } from 'node:crypto';

import type { ClusterServices } from '../cluster/cluster.js';
import type { HistoryBounds } from '../history/event-history.js';
import type { HistoryKey } from '../history/history-key.js';
import { PositionSeal } from '../history/position-seal.js';
import { Availability } from './availability.js';
import { type ConnectionPurpose, databaseOf, RedisConnections } from './connections.js';
import { Keys, nodeOf } from './keys.js';
import { LeaseRegistry } from './lease-registry.js';
import { LeaseTable } from './lease-table.js';
import { Membership } from './membership.js';
import { isNodeId } from './message-shapes.js';
import type { HistoryMessages } from './messages.js';
import { NodeBus } from './node-bus.js';
import { NodeRegistry } from './node-registry.js';
import { Reconciliation } from './reconciliation.js';
import { RedisAsks } from './redis-asks.js';
import { RedisDelivery } from './redis-delivery.js';
import { type HistoryServices, RedisHistory } from './redis-history.js';
import { RedisSlots } from './redis-slots.js';
import { RedisTopics } from './redis-topics.js';
import type { RedisClusterSettings } from './redis.options.js';
import { Renewal } from './renewal.js';
import { Revocations } from './revocations.js';
import { ServerClock } from './server-checks.js';
import { ServerOffset } from './server-offset.js';
import { shareSeal } from './shared-seal.js';
import { SetupCheck } from './setup-check.js';
import { Unreadable } from './unreadable.js';

const HEARING = 'This node receives messages from the other nodes again.';
const DEAF =
  'This node receives no messages from the other nodes: its connection for messages cannot subscribe, or is dead. ' +
  'Messages that other nodes send to users of this node are lost; threads with `resume` are read from Redis with a ' +
  'delay. Subscribing is retried. Check `maxclients`, the rights of the user of Redis, and firewalls and proxies.';

/** What the parts of a node need from the cluster. */
export interface RedisNodeOwner {
  /** A connection failed outside of any command. */
  connectionFailed(purpose: ConnectionPurpose, error: Error): void;
  /** A connection is ready, at first and after each reconnect. */
  connectionReady(purpose: ConnectionPurpose): void;
  /** Renews all leases; rejects when Redis does not reply. */
  renew(): Promise<void>;
}

/** All parts of this process's membership in a cluster over Redis, wired together. */
export class RedisNode {
  /** 128 random bits, new at every start: leases of an earlier process are never taken for those of this one. */
  readonly nodeId = randomBytes(16).toString('hex');
  readonly keys: Keys;
  readonly availability: Availability;
  readonly connections: RedisConnections;
  readonly table: LeaseTable;
  readonly leases: LeaseRegistry;
  readonly reconciliation: Reconciliation;
  readonly registry: NodeRegistry;
  readonly bus: NodeBus;
  readonly renewal: Renewal;
  readonly unreadable: Unreadable;
  /** Has the key of the cluster once Redis has answered. */
  readonly seal = new PositionSeal();
  readonly revocations: Revocations;
  readonly membership: Membership;
  readonly setup: SetupCheck;
  readonly slots: RedisSlots;
  readonly delivery: RedisDelivery;
  readonly asks: RedisAsks;
  readonly topics: RedisTopics;
  readonly #serverClock: ServerClock;
  #hasHistories = false;

  constructor(
    private readonly services: ClusterServices,
    private readonly settings: Readonly<RedisClusterSettings>,
    owner: RedisNodeOwner,
  ) {
    const { nodeId } = this;
    const { clock } = services;
    this.keys = new Keys(settings.keyPrefix, settings.secret, databaseOf(settings));
    this.availability = new Availability(services, settings.onUnavailable, nodeId);
    this.connections = new RedisConnections(
      clock,
      settings,
      (purpose, error) => owner.connectionFailed(purpose, error),
      (purpose) => {
        if (purpose === 'leases' && this.#hasHistories) void this.#shareSeal();
        owner.connectionReady(purpose);
      },
    );
    const leases = (): ReturnType<RedisConnections['get']> => this.connections.get('leases');
    const stumbled = (error: unknown): void => this.availability.stumble(error);
    const warn = (what: string): void => this.availability.warn(what);
    this.table = new LeaseTable(this.keys, nodeId, clock, settings.leaseMs);
    this.unreadable = new Unreadable(clock, warn);

    this.setup = new SetupCheck(this.keys, warn, stumbled);
    this.registry = new NodeRegistry(leases, this.keys, settings.heartbeatMs, this.unreadable);
    this.membership = new Membership({
      clock,
      settings,
      nodeId,
      registry: this.registry,
      connections: () => this.table.size,
      heardTime: (serverTime, askedAt) => {
        if (this.#serverClock.heard(serverTime, askedAt)) this.renewal.doubt();
        this.leases.heard(serverTime);
      },
    });
    this.bus = new NodeBus(
      this.connections,
      this.keys,
      clock,
      nodeId,
      this.unreadable,
      () => this.membership.others,
      stumbled,
      (missing) => this.setup.missing(missing),
      (isHearing) => this.availability.warn(isHearing ? HEARING : DEAF),
    );
    this.renewal = new Renewal(clock, settings, this.availability, () => owner.renew());
    this.#serverClock = new ServerClock(clock, warn);
    this.leases = new LeaseRegistry(leases, nodeId, settings.leaseMs);
    this.revocations = this.#createRevocations(this.leases);
    this.reconciliation = new Reconciliation({
      clock,
      settings,
      nodeId,
      table: this.table,
      registry: this.leases,
      bus: this.bus,
      holder: () => this.slots.holder,
      isOverslept: () => this.renewal.isOverslept,
      stumbled,
    });
    this.delivery = new RedisDelivery(
      this.connections,
      this.keys,
      this.bus,
      nodeId,
      this.revocations,
      () => this.membership.others,
      (error) => this.#lost(error),
    );
    this.asks = new RedisAsks({
      clock,
      bus: this.bus,
      nodeId,
      heartbeatMs: settings.heartbeatMs,
      broadcast: (target, text) => this.delivery.broadcast(target, text),
      others: () => this.membership.others,
      failed: (error) => this.#lost(error),
    });
    this.topics = new RedisTopics({
      clock,
      connections: this.connections,
      keys: this.keys,
      bus: this.bus,
      nodeId,
      leases: this.leases,
      settings,
      unreadable: this.unreadable,
      others: async () => {
        await this.membership.beat().catch(stumbled);
        return this.membership.others;
      },
      stumbled,
      warn,
    });
    this.slots = new RedisSlots(
      clock,
      settings,
      nodeId,
      this.table,
      this.leases,
      this.availability,
      this.renewal,
      this.reconciliation,
      this.bus,
    );
  }

  createHistory<Key extends HistoryKey>(
    bounds: HistoryBounds,
    messages: HistoryMessages<Key>,
    maxTotalBytes?: number,
  ): RedisHistory<Key> {
    const { nodeId, keys, bus, connections, unreadable, seal } = this;
    const { clock } = this.services;
    const { commandTimeoutMs } = this.settings;
    const services: HistoryServices<Key> = {
      messages,
      clock,
      connections,
      keys,
      bus,
      nodeId,
      commandTimeoutMs,
      unreadable,
      seal,
      stumbled: (error: unknown): void => this.availability.stumble(error),
      lost: (_key: unknown, error: unknown): void => this.#lost(error),
    };
    this.#hasHistories = true;
    return new RedisHistory(services, bounds, maxTotalBytes);
  }

  /** Takes the key of the cluster for positions. Without Redis, the positions of this node are credible only here. */
  async #shareSeal(): Promise<void> {
    const { connections, keys, seal, unreadable } = this;
    await shareSeal(connections.get('leases'), keys, seal, unreadable).catch((error: unknown) =>
      this.availability.stumble(error),
    );
  }

  #lost(error: unknown): void {
    this.availability.stumble(error);
    this.services.journal.record('delivery-failed', { error });
  }

  #createRevocations(registry: LeaseRegistry): Revocations {
    const { services, settings, nodeId } = this;
    return new Revocations({
      clock: services.clock,
      connection: () => this.connections.get('leases'),
      keys: this.keys,
      bus: this.bus,
      nodeId,
      commandTimeoutMs: settings.commandTimeoutMs,
      seesAllReceivers: () => this.connections.seesAllReceivers,
      unreadable: this.unreadable,
      offset: new ServerOffset(services.clock),
      holders: async (userId) => {
        const members = await registry.peek(this.keys.ofUser(this.keys.hashOf(userId)));
        return [...new Set(members.map(nodeOf))].filter(isNodeId);
      },
      known: () => this.membership.others,
      failed: (error) => this.availability.stumble(error),
    });
  }
}
