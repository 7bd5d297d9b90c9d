import type { Cluster, ClusterDefinition, ClusterServices } from '../cluster/cluster.js';
import type { ClusterStatus } from '../cluster/cluster-status.js';
import type { HistoryBounds, TotalBounds } from '../history/event-history.js';
import type { ThreadKey, TopicKey } from '../history/history-key.js';
import type { Release } from '../time/clock.js';
import { withDeadline } from '../time/deadline.js';
import type { ConnectionPurpose } from './connections.js';
import { THREAD_MESSAGES, TOPIC_MESSAGES } from './messages.js';
import { isDenied } from './permissions.js';
import { RedisTimeoutError } from './redis-deadline.js';
import type { RedisDelivery } from './redis-delivery.js';
import type { RedisHistory } from './redis-history.js';
import { RedisNode } from './redis-node.js';
import { statusOf } from './redis-status.js';
import type { RedisSlots } from './redis-slots.js';
import type { RedisTopics } from './redis-topics.js';
import {
  type RedisClusterOptions,
  type RedisClusterSettings,
  resolveRedisOptions,
} from './redis.options.js';
import { LOOK_MS } from './revocations.js';

/** Timeouts in a row after which the connection itself counts as dead. */
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

/** The part of a history that does not depend on its keys. */
type ClosableHistory = Pick<RedisHistory<ThreadKey>, 'hurry' | 'doubtAll' | 'leave'>;

/** The membership of this process in a cluster over Redis. */
export class RedisCluster implements Cluster {
  readonly #node: RedisNode;
  #timeoutsInARow = 0;
  readonly #histories: ClosableHistory[] = [];
  #whenJoined: (() => void) | undefined;
  #stopHeartbeat: Release | undefined;
  #stopLooking: Release | undefined;

  constructor(
    private readonly services: ClusterServices,
    private readonly settings: Readonly<RedisClusterSettings>,
  ) {
    this.#node = new RedisNode(services, settings, {
      connectionFailed: (purpose, error) => this.#onError(purpose, error),
      connectionReady: (purpose) => this.#onReady(purpose),
      renew: () => this.#renew(),
    });
  }

  get nodeId(): string {
    return this.#node.nodeId;
  }

  get slots(): RedisSlots {
    return this.#node.slots;
  }

  get delivery(): RedisDelivery {
    return this.#node.delivery;
  }

  get asks(): RedisNode['asks'] {
    return this.#node.asks;
  }

  get topics(): RedisTopics {
    return this.#node.topics;
  }

  get membership(): RedisNode['membership'] {
    return this.#node.membership;
  }

  createHistory(bounds: HistoryBounds): RedisHistory<ThreadKey> {
    return this.#added(this.#node.createHistory(bounds, THREAD_MESSAGES));
  }

  createTopicHistory(bounds: TotalBounds): RedisHistory<TopicKey> {
    return this.#added(this.#node.createHistory(bounds, TOPIC_MESSAGES, bounds.maxTotalBytes));
  }

  #added<History extends ClosableHistory>(history: History): History {
    this.#histories.push(history);
    return history;
  }

  async join(): Promise<void> {
    const { clock } = this.services;
    await this.#node.connections.load();
    if (this.#node.availability.hasLeft) return;
    this.#node.renewal.start();
    this.#stopHeartbeat = clock.every(this.settings.heartbeatMs, () => void this.#heartbeat());
    this.#stopLooking = clock.every(LOOK_MS, () => void this.#look());
    this.#node.connections.get('leases');
    this.#node.connections.get('subscribe');
    this.#node.connections.get('publish');
    if (this.#histories.length > 0) this.#node.connections.get('streams');
    await withDeadline(clock, this.settings.commandTimeoutMs, this.#joined());
    if (this.#node.availability.state === 'joining') {
      this.#node.availability.fail(new Error('Redis does not answer'));
    }
  }

  async drain(): Promise<void> {
    this.#node.membership.drain();
    void this.#heartbeat();
    await this.#node.reconciliation
      .releaseAll()
      .catch((error: unknown) => this.#node.availability.stumble(error));
  }

  async leave(): Promise<void> {
    if (this.#node.availability.hasLeft) return;
    this.#stopHeartbeat?.();
    this.#stopLooking?.();
    this.#node.renewal.stop();
    this.#node.reconciliation.stop();
    this.asks.leave();
    await Promise.all(this.#histories.map((history) => history.leave()));
    const isUp = this.#node.availability.isUp;
    await this.topics.leave(isUp);
    this.#node.availability.leave();
    if (isUp) {
      const left = this.#node.registry.leave(this.nodeId).catch(() => undefined);
      await withDeadline(this.services.clock, this.settings.commandTimeoutMs, left);
    }
    this.#node.connections.close();
  }

  status(): ClusterStatus {
    return statusOf(this.#node);
  }

  // Resolves after the first successful renewal.
  #joined(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenJoined = resolve;
    });
  }

  #onReady(purpose: ConnectionPurpose): void {
    if (this.#node.availability.hasLeft) return;
    if (purpose === 'subscribe') void this.#listen();
    if (purpose === 'streams') {
      for (const history of this.#histories) history.hurry();
      // Redis may have lost data while the connection was down.
      this.#doubtAll();
    }
    // Redis may have lost all data while it was away: the renewal restores the leases of this node.
    if (purpose !== 'leases') return;
    void this.#node.renewal.now();
    void this.topics.renew();
    void this.#node.setup.run(this.#node.connections.get('leases'));
  }

  // Messages that were published while this node was not subscribed are lost. Revocations and events are still in
  // Redis.
  async #listen(): Promise<void> {
    await this.#node.bus.listen();
    void this.#look();
    this.#doubtAll();
  }

  #onError(purpose: ConnectionPurpose, error: Error): void {
    if (this.#node.availability.hasLeft) return;
    // A missing right does not mean that Redis is away, and neither does an error of a connection of another purpose.
    if (purpose !== 'leases' || isDenied(error)) {
      this.#node.availability.stumble(error);
      return;
    }
    this.#node.renewal.failed(error);
  }

  async #renew(): Promise<void> {
    const { restored } = this.#node.reconciliation.counters;
    const wasUp = this.#node.availability.isUp;
    try {
      await this.#node.membership.beat();
      await this.#node.revocations
        .look()
        .catch((error: unknown) => this.#node.setup.tolerate(error));
      await this.#node.reconciliation.all();
    } catch (error) {
      this.#noteTimeout(error);
      throw error;
    }
    this.#timeoutsInARow = 0;
    const leases = this.#node.table.count().held;
    this.#node.availability.recover({ nodes: this.#node.membership.nodes.length, leases });
    this.#whenJoined?.();
    // While Redis lacked the leases of a user, events of that user were not published to this node.
    if (!wasUp || this.#node.reconciliation.counters.restored > restored) this.#doubtAll();
  }

  // Applies the revocations of other nodes. Until shortly after, no connection here can have been revoked unnoticed.
  async #look(): Promise<void> {
    if (!this.#node.availability.isUp) return;
    const askedAt = this.services.clock.now();
    try {
      await this.#node.revocations.look();
      this.#node.renewal.informed(askedAt);
    } catch (error) {
      this.#node.availability.stumble(error);
    }
  }

  #doubtAll(): void {
    for (const history of this.#histories) history.doubtAll();
  }

  async #heartbeat(): Promise<void> {
    void this.#node.bus.check();
    if (!this.#node.availability.isUp) return;
    try {
      await this.#node.membership.beat();
    } catch (error) {
      this.#node.renewal.failed(error);
    }
  }

  // A connection that the network has cut silently stays open for about a quarter of an hour, but carries nothing. It
  // is replaced after some timeouts in a row.
  #noteTimeout(error: unknown): void {
    this.#timeoutsInARow = error instanceof RedisTimeoutError ? this.#timeoutsInARow + 1 : 0;
    if (this.#timeoutsInARow < PATIENCE) return;
    this.#timeoutsInARow = 0;
    this.#node.connections.replace('leases');
  }
}
