import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { ClusterNode } from '../support/cluster.js';
import { TestRedis } from '../support/redis.js';

const LIMIT = 3;
const PATIENCE_MS = 900_000;
/** Longer than any timeout of a Redis command. */
const LONG_SLEEP_MS = 12_000;

describe('a process that overslept its leases', () => {
  let redis: TestRedis;
  let sleeper: ClusterNode;
  let other: ClusterNode;
  let folder: string;
  beforeEach(async () => {
    redis = await TestRedis.start();
    folder = await mkdtemp(join(tmpdir(), 'isolation-sleep-'));
  });
  afterEach(async () => {
    await Promise.all([sleeper.kill(), other.kill()]);
    await redis.stop();
    await rm(folder, { recursive: true });
  });

  async function start(cluster: RedisClusterOptions): Promise<void> {
    const others = { options: { limits: { maxManagersPerUser: LIMIT } } };
    [sleeper, other] = await Promise.all([
      ClusterNode.start(redis.url, cluster, others),
      ClusterNode.start(redis.url, cluster, others),
    ]);
  }
  /** Connects clients to the sleeper, puts it to sleep, and sends messages into the sleep. */
  async function fallAsleep(how: 'frozen' | 'busy' = 'frozen'): Promise<TestClient[]> {
    const clients = await sleeper.connectMany('ada', LIMIT);
    for (const client of clients) await client.ask('echo', 'before');
    await sleeper.call('takeHandled');
    if (how === 'frozen') sleeper.signal('SIGSTOP');
    else void sleeper.call('block', join(folder, 'awake'));
    for (const client of clients) client.send('echo', 'into the sleep');
    return clients;
  }
  const wake = async () => {
    await writeFile(join(folder, 'awake'), '');
    sleeper.signal('SIGCONT');
  };
  /** Waits until clients of the other node have taken all slots. */
  async function loseSlots(): Promise<void> {
    let count = 0;
    await eventually(async () => {
      if ((await other.tryToConnect('ada')) instanceof TestClient) count += 1;
      expect(count).toBe(LIMIT);
    }, PATIENCE_MS);
  }
  async function redisTime(): Promise<number> {
    const [seconds] = (await redis.command('TIME')) as [string];
    return Number(seconds) * 1000;
  }
  /** Checks that all clients are closed, and that none of their messages was handled. */
  async function allLost(clients: readonly TestClient[], others = 0): Promise<void> {
    for (const client of clients) expect(await client.closed(PATIENCE_MS)).toBe(4442);
    expect(await sleeper.call('takeHandled')).toEqual([]);
    await eventually(async () => {
      expect(await redis.leases()).toBe(LIMIT + others);
    }, PATIENCE_MS);
  }

  it('does not treat its own sleep as an outage of Redis, and accepts waiting clients', async () => {
    await start({ onUnavailable: 'closed' });
    const clients = await fallAsleep();
    await loseSlots();
    const from = await redisTime();
    const waiting = sleeper.connect('eve');
    await eventually(async () => {
      expect(await redisTime()).toBeGreaterThan(from + LONG_SLEEP_MS);
    }, PATIENCE_MS);
    await wake();
    expect((await waiting).closeCode).toBeUndefined();
    await allLost(clients, 1);
    expect(await sleeper.call('events')).toEqual([]);
    expect(await sleeper.call('status')).toMatchObject({ state: 'up' });
  });

  it.each(['local', 'closed', 'open'] as const)(
    "renews over a new connection if the old ones were cut, with onUnavailable '%s'",
    async (onUnavailable) => {
      await start({ onUnavailable, commandTimeoutMs: 1_000 });
      const clients = await fallAsleep();
      await loseSlots();
      for (const type of ['normal', 'pubsub']) {
        await redis.command('CLIENT', 'KILL', 'TYPE', type, 'SKIPME', 'yes');
      }
      await wake();
      await allLost(clients);
      expect(await other.call('live', 'ada')).toBe(LIMIT);
    },
  );

  it('because it was busy renews before it handles waiting messages', async () => {
    await start({});
    const clients = await fallAsleep('busy');
    await loseSlots();
    await wake();
    await allLost(clients);
    expect(await other.call('live', 'ada')).toBe(LIMIT);
  });

  it('follows onUnavailable if Redis stays away', async () => {
    await start({ onUnavailable: 'local', commandTimeoutMs: 500 });
    const { length: before } = await sleeper.call('events');
    const clients = await fallAsleep();
    await loseSlots();
    await redis.kill();
    await wake();
    for (const client of clients) {
      expect(await client.next('echo', PATIENCE_MS)).toMatchObject({ data: 'into the sleep' });
    }
    const events = await sleeper.call('events');
    expect(events.slice(before)).toContain('cluster-degraded');
    expect(events.at(-1)).toBe('cluster-degraded');
  });
});
