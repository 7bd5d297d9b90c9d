import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { WebSocketIsolationOptions } from 'nestjs-websocket-isolation';
import type { RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';
import { createClient } from 'redis';

import { TestRedis } from '../support/redis.js';
import { LocalNode } from './local-node.js';

const LIMIT = 3;
const PATIENCE_MS = 900_000;
/** Longer than a question to another node takes. */
const IDLE_MS = 400;
/** Longer than the difference in age of two connections, and shorter than the timeout of a probe. */
const PONG_AFTER_MS = 1_000;
/** Long times, so that no renewal runs during a test, and no command times out on a busy machine. */
const LONG_LEASE = {
  leaseMs: 120_000,
  renewMs: 40_000,
  acquireTimeoutMs: 60_000,
  commandTimeoutMs: 60_000,
};

const closeCodes = (clients: readonly TestClient[]): (number | undefined)[] =>
  clients.map(({ closeCode }) => closeCode);

/** Waits until all connections are clearly idle, because each node measures idleness when a question arrives. */
function allIdleOn(node: LocalNode): Promise<void> {
  return eventually(() => {
    const lastActivity = node.factory
      .managersOf('ada')
      .map((manager) => manager.getStats().metrics.lastActivity.getTime());
    expect(Date.now() - Math.max(...lastActivity)).toBeGreaterThan(IDLE_MS);
  });
}

describe('slots in a cluster', () => {
  let redis: TestRedis;
  let nodes: LocalNode[];
  beforeEach(async () => {
    redis = await TestRedis.start();
    nodes = [];
  });
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.close()));
    await redis.stop();
  });

  async function start(
    cluster: RedisClusterOptions = {},
    limits: WebSocketIsolationOptions['limits'] = {},
  ): Promise<LocalNode> {
    const options = { limits: { maxManagersPerUser: LIMIT, ...limits } };
    const node = await LocalNode.start({ ...LONG_LEASE, url: redis.url, ...cluster }, options);
    nodes.push(node);
    return node;
  }
  const live = () => nodes.reduce((sum, node) => sum + node.live('ada'), 0);

  it('are counted over all nodes and released, and leave nothing behind', async () => {
    const [one, other] = [await start(), await start()];
    const clients = await Promise.all([one, other, one].map((node) => node.connect()));
    expect(await other.statusOfArrival()).toBe(429);
    expect(one.status).toMatchObject({ state: 'up', leases: { held: 2, unleased: 0 } });
    expect(await other.statusOfArrival('eve')).toBe(101);
    await clients[0]!.close();
    await eventually(async () => expect(await other.statusOfArrival()).toBe(101));
    await Promise.all(nodes.splice(0).map((node) => node.close()));
    expect(await redis.command('KEYS', '*')).toEqual([]);
  });

  it('report the nodes of the cluster', async () => {
    const heartbeatMs = 100;
    const one = await start({ heartbeatMs, nodeName: 'one' });
    const other = await start({ heartbeatMs, nodeName: 'other' });
    await other.connect();
    await eventually(() => {
      const known = one.status.nodes.map(({ name, connections }) => `${name}: ${connections}`);
      expect(known.toSorted()).toEqual(['one: 0', 'other: 1']);
    });
    await nodes.pop()!.close();
    await eventually(() => expect(one.status.nodes.map(({ name }) => name)).toEqual(['one']));
  });

  it('are stored under hashes: Redis contains no user id, and two applications can share it', async () => {
    const userId = 'ada@example.com';
    const apps = [{ keyPrefix: 'one' }, { keyPrefix: 'two' }, { keyPrefix: 'one', secret: 's' }];
    for (const app of apps) {
      const node = await start(app, { maxManagersPerUser: 1 });
      expect(await node.statusOfArrival(encodeURIComponent(userId))).toBe(101);
    }
    const keys = ((await redis.command('KEYS', '*:leases')) as string[]).toSorted();
    expect(keys.length).toBe(3);
    for (const key of keys) expect(key).toMatch(/^(one|two):\{u:[0-9a-f]{32}\}:leases$/);
    const all = (await redis.command('KEYS', '*')) as string[];
    expect(all.join()).not.toContain('ada');
  });

  it('become free when another node holds dead connections', async () => {
    const [one, other] = [await start(), await start()];
    const dead = await one.connect('ada', { autoPong: false });
    const living = [await one.connect(), await one.connect()];
    // Retried until the connections have been silent long enough to be pinged.
    await eventually(async () => expect(await other.statusOfArrival()).toBe(101), PATIENCE_MS);
    await dead.closed();
    expect(closeCodes(living)).toEqual([undefined, undefined]);
    expect(await other.statusOfArrival()).toBe(429);
    expect([live(), await redis.leases()]).toEqual([LIMIT, LIMIT]);
  });

  it("with 'evict-idle', are taken from the least recently active connection of all nodes", async () => {
    const overflow = 'evict-idle';
    const [one, other] = [await start({}, { overflow }), await start({}, { overflow })];
    const [oldest, busy] = [await one.connect(), await one.connect()];
    await allIdleOn(one);
    const newer = await other.connect();
    await allIdleOn(other);
    await busy.ask('echo', 1);
    const replacement = await other.connect();
    expect(await oldest.closed()).toBe(4409);
    const another = await other.connect();
    expect(await newer.closed()).toBe(4409);
    expect(closeCodes([busy, replacement, another])).toEqual([undefined, undefined, undefined]);
    await eventually(async () => expect([live(), await redis.leases()]).toEqual([LIMIT, LIMIT]));
    expect(one.status.counters).toMatchObject({ evicted: 1, lost: 0 });
  });

  it("with 'evict-idle', are taken from the least recently active one, even if its node replies late", async () => {
    const overflow = 'evict-idle';
    const [one, other] = [await start({}, { overflow }), await start({}, { overflow })];
    const [oldest] = [await one.connect(), await one.connect()];
    await allIdleOn(one);
    const hesitant = await other.connect('ada', { autoPong: false });
    hesitant.socket.on('ping', (data) =>
      setTimeout(() => hesitant.socket.pong(data), PONG_AFTER_MS),
    );
    expect(await one.statusOfArrival()).toBe(101);
    await eventually(() => expect(one.status.counters.evicted).toBe(1));
    expect(await oldest.closed()).toBe(4409);
    expect(hesitant.closeCode).toBeUndefined();
  });

  it("with 'evict-idle', are never taken from pinned connections", async () => {
    const overflow = 'evict-idle';
    const [one, other] = [await start({}, { overflow }), await start({}, { overflow })];
    const clients = await one.connectMany(LIMIT);
    const pins = one.factory.managersOf('ada').map((manager) => manager.pin('report'));
    expect(await other.statusOfArrival()).toBe(429);
    pins[1]![Symbol.dispose]();
    expect(await other.statusOfArrival()).toBe(101);
    await eventually(() => expect(closeCodes(clients).filter(Boolean)).toEqual([4409]));
  });

  it("with 'evict-idle', are reassigned one for one to simultaneous arrivals on all nodes", async () => {
    const overflow = 'evict-idle';
    const all = [await start({}, { overflow }), await start({}, { overflow })];
    const old = [...(await all[0]!.connectMany(2)), await all[1]!.connect()];
    const arrivals = await Promise.all(all.map((node) => node.statusOfArrival()));
    expect(arrivals).toEqual([101, 101]);
    await eventually(() => expect(closeCodes(old).filter((code) => code === 4409).length).toBe(2));
    await eventually(async () => expect([live(), await redis.leases()]).toEqual([LIMIT, LIMIT]));
  });

  it('that were evicted are released at the next renewal if the message is lost', async () => {
    const overflow = 'evict-idle';
    // This node can be asked, but gets no message about the eviction.
    const deaf = await start(
      { leaseMs: 3_000, renewMs: 600, ...withoutHints(redis) },
      { overflow },
    );
    const clients = await deaf.connectMany(LIMIT);
    const other = await start({}, { overflow });
    const newcomer = await other.connect();
    await eventually(
      () => expect(closeCodes(clients).filter(Boolean)).toEqual([4409]),
      PATIENCE_MS,
    );
    expect(newcomer.closeCode).toBeUndefined();
    expect(deaf.status.counters).toMatchObject({ evicted: 1, lost: 0 });
    expect([live(), await redis.leases()]).toEqual([LIMIT, LIMIT]);
  });

  it('are counted over a duplicate of the given client', async () => {
    const client = createClient({ url: redis.url });
    const node = await start({ url: undefined, client });
    expect(await node.statusOfArrival()).toBe(101);
    expect([client.isOpen, await redis.leases()]).toEqual([false, 1]);
  });
});

/** Returns options for a node that gets no messages about evictions. */
function withoutHints(redis: TestRedis): RedisClusterOptions {
  const client = createClient({ url: redis.url });
  const duplicate = client.duplicate.bind(client);
  const lossy = (...overrides: Parameters<typeof duplicate>) => {
    const copy = duplicate(...overrides);
    const subscribe = copy.subscribe.bind(copy);
    copy.subscribe = ((channel: string, listener: (message: string) => void) =>
      subscribe(channel, (message: string) => {
        if (!message.includes('"renew"')) listener(message);
      })) as typeof copy.subscribe;
    return copy;
  };
  return { url: undefined, client: Object.assign(client, { duplicate: lossy }) };
}
