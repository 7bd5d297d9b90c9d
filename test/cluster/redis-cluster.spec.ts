import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { createCluster } from 'redis';

import { freePort, TestRedis } from '../support/redis.js';
import { LocalNode } from './local-node.js';

const SLOTS = 16_384;
const PATIENCE_MS = 300_000;

describe('slots in a Redis Cluster of two shards', () => {
  const nodes: LocalNode[] = [];
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.close()));
  });

  it('are counted, shared and released as on a single Redis', async () => {
    await using shards = await startShards();
    const client = createCluster({ rootNodes: [{ url: shards.urls[0]! }] });
    const options = { limits: { maxManagersPerUser: 2, overflow: 'evict-idle' as const } };
    for (const nodeName of ['one', 'other']) {
      nodes.push(await LocalNode.start({ client, nodeName }, options));
    }
    const [one, other] = nodes as [LocalNode, LocalNode];
    // Enough users to have keys on both shards.
    const users = Array.from({ length: 12 }, (_, index) => `user-${index}`);
    const oldest = await Promise.all(users.map((user) => one.connect(user)));
    await Promise.all(users.map((user) => other.connect(user)));
    await Promise.all(users.map((user) => other.connect(user)));
    await eventually(() => {
      expect(oldest.map(({ closeCode }) => closeCode)).toEqual(users.map(() => 4409));
    });
    await eventually(async () => {
      const leases = await shards.leases();
      expect(leases.reduce((sum, count) => sum + count, 0)).toBe(users.length * 2);
      expect(Math.min(...leases)).toBeGreaterThan(0);
    });
    expect(one.status).toMatchObject({ state: 'up', counters: { evicted: users.length } });
    await eventually(() => expect(one.status.nodes.length).toBe(2));
  });
});

async function startShards() {
  const busPort = String(await freePort());
  const first = await TestRedis.start(['--cluster-enabled', 'yes', '--cluster-port', busPort]);
  const otherBus = String(await freePort());
  const second = await TestRedis.start(['--cluster-enabled', 'yes', '--cluster-port', otherBus]);
  const shards = [first, second];
  await first.command('CLUSTER', 'ADDSLOTSRANGE', '0', String(SLOTS / 2 - 1));
  await second.command('CLUSTER', 'ADDSLOTSRANGE', String(SLOTS / 2), String(SLOTS - 1));
  await first.command('CLUSTER', 'MEET', '127.0.0.1', String(second.port), otherBus);
  for (const shard of shards) {
    await eventually(async () => {
      expect(await shard.command('CLUSTER', 'INFO')).toContain('cluster_state:ok');
      expect(await shard.command('CLUSTER', 'INFO')).toContain('cluster_known_nodes:2');
    }, PATIENCE_MS);
  }
  return {
    urls: shards.map(({ url }) => url),
    leases: () => Promise.all(shards.map((shard) => shard.leases())),
    [Symbol.asyncDispose]: async () => void (await Promise.all([first.stop(), second.stop()])),
  };
}
