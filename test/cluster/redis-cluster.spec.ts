import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';
import { createCluster } from 'redis';

import { freePort } from '../../lab/free-port.js';
import { TestRedis } from '../support/redis.js';
import { LocalNode } from './local-node.js';

const SLOTS = 16_384;
const PATIENCE_MS = 900_000;
/** No lease ends while a shard fails over, or on a machine that is busy. */
const LONG_LEASE = { leaseMs: 120_000, renewMs: 2_000 };

describe('topics in a Redis Cluster of three masters, each with a replica', () => {
  const nodes: LocalNode[] = [];
  afterEach(async () => {
    await Promise.all(nodes.splice(0).map((node) => node.close()));
  });

  it('keep members, order and history on all shards, also after a master has failed', async () => {
    await using shards = await startShardsWithReplicas();
    const client = createCluster({ rootNodes: shards.urls.map((url) => ({ url })) });
    const topics = { authorizer: () => true, presence: true, history: { windowMs: 600_000 } };
    for (const nodeName of ['one', 'other']) {
      nodes.push(await LocalNode.start({ client, nodeName, ...LONG_LEASE }, { topics }));
    }
    const [one, other] = nodes as [LocalNode, LocalNode];
    // Enough topics to have keys on all shards.
    const names = Array.from({ length: 24 }, (_, index) => `room:${index}`);
    const ada = await one.connect('ada');
    const bob = await other.connect('bob');
    for (const name of names) {
      await ada.subscribe(name);
      await bob.subscribe(name);
    }
    let sent = 0;
    const round = async (): Promise<void> => {
      sent += 1;
      for (const [index, name] of names.entries()) {
        (index % 2 ? one : other).emitter.toTopic(name).send('said', sent);
      }
      for (const member of [ada, bob]) {
        await eventually(() => {
          const got = names.map((topic) => told(member, topic));
          expect(got).toEqual(names.map(() => Array.from({ length: sent }, (_, n) => n + 1)));
        }, PATIENCE_MS);
      }
    };
    const counts = (node: LocalNode): Promise<number[]> =>
      Promise.all(names.map((name) => node.presence.count(name)));
    await round();
    expect(Math.min(...(await shards.topics()))).toBeGreaterThan(0);
    expect(await counts(one)).toEqual(names.map(() => 2));

    await shards.failOver();
    await eventually(
      async () => expect(await counts(other)).toEqual(names.map(() => 2)),
      PATIENCE_MS,
    );
    await round();
    await round();

    await ada.close();
    await eventually(
      async () => expect(await counts(one)).toEqual(names.map(() => 1)),
      PATIENCE_MS,
    );
    await bob.close();
    await eventually(
      async () => expect(await shards.topics('users')).toEqual([0, 0, 0]),
      PATIENCE_MS,
    );
  });
});

function told({ messages }: TestClient, topic: string): unknown[] {
  return messages
    .filter((message) => message.event === 'said' && message.topic === topic)
    .map(({ data }) => data as unknown);
}

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
      nodes.push(await LocalNode.start({ client, nodeName, ...LONG_LEASE }, options));
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

async function startMember(busPort: string): Promise<TestRedis> {
  const args = ['--cluster-enabled', 'yes', '--cluster-port', busPort];
  return TestRedis.start([
    ...args,
    '--cluster-node-timeout',
    '5000',
    '--repl-diskless-sync-delay',
    '0',
  ]);
}

async function startShardsWithReplicas() {
  const members: TestRedis[] = [];
  const busPorts: string[] = [];
  for (let count = 0; count < 6; count += 1) {
    busPorts.push(String(await freePort()));
    members.push(await startMember(busPorts[count]!));
  }
  const masters = members.slice(0, 3);
  const replicas = members.slice(3);
  const [first] = masters;
  for (const [index, master] of masters.entries()) {
    const [from, to] = [index, index + 1].map((part) => Math.floor((SLOTS * part) / 3));
    await master.command('CLUSTER', 'ADDSLOTSRANGE', String(from), String(to! - 1));
    await master.command('CLUSTER', 'SET-CONFIG-EPOCH', String(index + 1));
  }
  for (const [index, { port }] of members.entries()) {
    if (index > 0)
      await first!.command('CLUSTER', 'MEET', '127.0.0.1', String(port), busPorts[index]!);
  }
  const everywhere = async (text: string): Promise<void> => {
    for (const member of members) {
      await eventually(async () => {
        expect(await member.command('CLUSTER', 'INFO')).toContain(text);
      }, PATIENCE_MS);
    }
  };
  await everywhere('cluster_known_nodes:6');
  for (const [index, replica] of replicas.entries()) {
    const id = (await masters[index]!.command('CLUSTER', 'MYID')) as string;
    await replica.command('CLUSTER', 'REPLICATE', id);
  }
  await everywhere('cluster_state:ok');
  for (const replica of replicas) {
    await eventually(async () => {
      expect(await replica.command('INFO', 'replication')).toContain('master_link_status:up');
    }, PATIENCE_MS);
  }
  return {
    urls: members.map(({ url }) => url),
    /** The number of keys of topics on each master. */
    topics: (name = 'nodes') =>
      Promise.all(
        masters.map(async (master) => {
          const keys = (await master.command('KEYS', `*{t:*:${name}`)) as string[];
          return keys.length;
        }),
      ),
    /** Kills the first master. Resolves when its replica has taken over. */
    failOver: async () => {
      await masters[0]!.kill();
      masters[0] = replicas[0]!;
      await eventually(async () => {
        expect(await masters[0]!.command('ROLE')).toContain('master');
        expect(await masters[0]!.command('CLUSTER', 'INFO')).toContain('cluster_state:ok');
      }, PATIENCE_MS);
    },
    [Symbol.asyncDispose]: async () => {
      await Promise.all(members.map((member) => member.stop()));
    },
  };
}
