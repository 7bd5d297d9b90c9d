import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import { redisCluster } from 'nestjs-websocket-isolation/redis';

import { eventually } from '../support/eventually.js';
import { TestRedis } from '../support/redis.js';
import { startApp } from '../support/test-app.js';
import { TestClient } from '../support/test-client.js';
import { EchoGateway } from './cluster-app.js';

describe('slots in a cluster', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());

  it('are counted over all nodes, given back, and leave nothing behind', async () => {
    const start = () =>
      startApp({
        providers: [EchoGateway],
        options: {
          limits: { maxManagersPerUser: 3 },
          cluster: redisCluster({ url: redis.url, acquireTimeoutMs: 5_000 }),
        },
      });
    const [a, b] = [await start(), await start()];
    const clients = await Promise.all(
      [a, b, a].map((node) => TestClient.open(node.url('/chat?user=ada'))),
    );
    await expect(TestClient.open(b.url('/chat?user=ada'))).rejects.toMatchObject({ status: 429 });
    const cluster = () => a.app.get(WebSocketManagerFactory).getStats().currentState.cluster!;
    expect(cluster()).toMatchObject({ state: 'up', leases: { held: 2, unleased: 0 } });
    expect(await clients[0]!.ask('echo', 1)).toEqual({ event: 'echo', data: 1 });
    await clients[0]!.close();
    await eventually(async () => void (await TestClient.open(b.url('/chat?user=ada'))));
    await b.close();
    await a.close();
    expect(await redis.command('KEYS', '*')).toEqual([]);
  });
});
