import { expect } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  type ClusterStatus,
  IsolatedGateway,
  IsolationEventBus,
  TopicPresence,
  WebSocketEmitter,
  WebSocketManagerFactory,
  type WebSocketIsolationOptions,
} from 'nestjs-websocket-isolation';
import { redisCluster, type RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { eventually, TestClient, UpgradeRefused } from 'nestjs-websocket-isolation/testing';
import type { ClientOptions } from 'ws';

import { Topics } from '../../src/topics/topics.service.js';
import { SHORT_LEASE } from '../support/cluster.js';
import { startApp, type TestApp } from '../support/test-app.js';

const PATIENCE_MS = 900_000;

@IsolatedGateway({ path: '/chat' })
class EchoGateway {
  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown): { event: string; data: unknown } {
    return { event: 'echo', data };
  }
}

/** A node of a cluster in this process, with a gateway at `/chat` that replies to `echo`. The caller closes it. */
export class LocalNode {
  readonly warnings: string[] = [];
  /** How often the node has emitted `cluster-degraded`. */
  timesDegraded = 0;

  private constructor(private readonly app: TestApp) {
    const bus = app.app.get(IsolationEventBus);
    bus.on('cluster-warning', ({ what }) => void this.warnings.push(what));
    bus.on('cluster-degraded', () => void (this.timesDegraded += 1));
  }

  static async start(
    cluster: RedisClusterOptions,
    options: WebSocketIsolationOptions = {},
  ): Promise<LocalNode> {
    const app = await startApp({
      providers: [EchoGateway],
      options: {
        ...options,
        // The emergency job does not run during a test, and a rescue does not time out on a busy machine.
        cleanup: {
          probeTimeoutMs: 2_000,
          emergencyIntervalMs: 600_000,
          emergencyTimeoutMs: 120_000,
          ...options.cleanup,
        },
        cluster: redisCluster({ ...SHORT_LEASE, ...cluster }),
      },
    });
    return new LocalNode(app);
  }

  get port(): number {
    return this.app.port;
  }

  get status(): ClusterStatus {
    return this.factory.getStats().currentState.cluster!;
  }

  get events(): IsolationEventBus {
    return this.app.app.get(IsolationEventBus);
  }

  get factory(): WebSocketManagerFactory {
    return this.app.app.get(WebSocketManagerFactory);
  }

  get emitter(): WebSocketEmitter {
    return this.app.app.get(WebSocketEmitter);
  }

  get presence(): TopicPresence {
    return this.app.app.get(TopicPresence);
  }

  /** Memberships in topics on this node. */
  get memberships(): number {
    return this.app.app.get(Topics).memberships;
  }

  /** Connects a user, and joins topics with that connection. */
  async member(userId: string, ...topics: readonly string[]): Promise<TestClient> {
    const client = await this.connect(userId);
    await eventually(() => expect(this.live(userId)).toBeGreaterThan(0), PATIENCE_MS);
    const manager = this.factory.managersOf(userId).at(-1)!;
    for (const topic of topics) await manager.join(topic);
    return client;
  }

  live(userId: string): number {
    return this.factory.managersOf(userId).length;
  }

  connect(userId = 'ada', options: ClientOptions = {}): Promise<TestClient> {
    return TestClient.open(this.app.url(`/chat?user=${userId}`), options);
  }

  connectMany(count: number, userId = 'ada'): Promise<TestClient[]> {
    return Promise.all(Array.from({ length: count }, () => this.connect(userId)));
  }

  async statusOfArrival(userId = 'ada'): Promise<number> {
    try {
      await this.connect(userId);
      return 101;
    } catch (error) {
      if (error instanceof UpgradeRefused) return error.status;
      throw error;
    }
  }

  async becomes(state: ClusterStatus['state']): Promise<void> {
    await eventually(() => expect(this.status.state).toBe(state), PATIENCE_MS);
  }

  close(): Promise<void> {
    return this.app.close();
  }
}
