import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { ClusterNode, withNodes } from '../support/cluster.js';
import { TestRedis } from '../support/redis.js';

const ROUNDS = Number(process.env['CLUSTER_ROUNDS'] ?? 5);
const CONNECTIONS = 200;
const LIMIT = 20;

describe('one user, three processes, one Redis', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());

  it(`lets exactly ${LIMIT} of ${CONNECTIONS} in, in each of ${ROUNDS} rounds`, async () => {
    const starts = Array.from({ length: 3 }, () =>
      ClusterNode.start(redis.url, { leaseMs: 30_000, renewMs: 10_000 }),
    );
    await withNodes(starts, async (nodes) => {
      const held: number[] = [];
      for (let round = 0; round < ROUNDS; round += 1) {
        const arrivals = Array.from({ length: CONNECTIONS }, (_, index) =>
          nodes[index % nodes.length]!.tryToConnect('ada'),
        );
        const outcomes = await Promise.all(arrivals);
        const clients = outcomes.filter((outcome) => outcome instanceof TestClient);
        const refusals = outcomes.filter((outcome) => outcome === 429);
        expect(clients.length + refusals.length).toBe(CONNECTIONS);
        const live = await Promise.all(nodes.map((node) => node.call('live', 'ada')));
        held.push(live.reduce((sum, count) => sum + count, 0));
        expect([held.at(-1), clients.length, await redis.leases()]).toEqual([LIMIT, LIMIT, LIMIT]);
        for (const client of clients) client.terminate();
        await eventually(async () => expect(await redis.leases()).toBe(0));
      }
      expect(held).toEqual(Array.from({ length: ROUNDS }, () => LIMIT));
    });
  });
});
