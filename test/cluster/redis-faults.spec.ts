import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';

import { TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { LocalNode } from './local-node.js';

const LIMIT = 3;
const PATIENCE_MS = 900_000;
/** A lease that does not end during a test, with frequent renewals. */
const LASTING = { leaseMs: 60_000, renewMs: 1_500 };
const OPTIONS = { limits: { maxManagersPerUser: LIMIT, maxManagers: 8 } };

/** Returns the number of clients that were closed with a code. */
const closedWith = (code: number, clients: readonly TestClient[]): number =>
  clients.filter(({ closeCode }) => closeCode === code).length;

describe('a cluster whose Redis fails', () => {
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

  async function start(cluster: RedisClusterOptions = {}): Promise<LocalNode> {
    const node = await LocalNode.start({ url: redis.url, ...cluster }, OPTIONS);
    nodes.push(node);
    return node;
  }
  /** Waits until every socket has exactly one slot, and there are no other slots. */
  const inOrder = (count: number) =>
    eventually(async () => {
      const live = nodes.reduce((sum, node) => sum + node.live('ada'), 0);
      expect([live, await redis.leases()]).toEqual([count, count]);
    }, PATIENCE_MS);

  it('SCRIPT FLUSH: refuses no client, and keeps counting', async () => {
    const node = await start({ ...LASTING, acquireTimeoutMs: 60_000, commandTimeoutMs: 60_000 });
    await node.connect();
    await redis.command('SCRIPT', 'FLUSH');
    expect(await Promise.all([node.statusOfArrival(), node.statusOfArrival()])).toEqual([101, 101]);
    expect(await node.statusOfArrival()).toBe(429);
    // A slow machine may count a failure of another kind.
    expect(node.status.state).toBe('up');
    expect(String(node.status.lastError)).not.toContain('NOSCRIPT');
  });

  it('FLUSHALL: new clients are accepted, renewals restore slots up to the limit and close the rest', async () => {
    // The long lease prevents a renewal between the arrivals.
    const [old, fresh] = [await start(LASTING), await start(LASTING)];
    const earlier: TestClient[] = [];
    for (let count = 0; count < LIMIT; count += 1) earlier.push(await old.connect());
    await redis.command('FLUSHALL');
    const later = await fresh.connectMany(LIMIT - 1);
    await eventually(() => expect(closedWith(4442, earlier)).toBe(LIMIT - 1), PATIENCE_MS);
    await inOrder(LIMIT);
    // The oldest connection keeps its slot.
    expect(earlier[0]!.closeCode).toBeUndefined();
    expect(closedWith(4442, later)).toBe(0);
    expect(old.status.counters).toMatchObject({ restored: 1, lost: LIMIT - 1 });
  });

  it('restart with data loss: connections stay within the limit of the node, then of the cluster', async () => {
    const [one, other] = [await start(), await start()];
    const earlier = await one.connectMany(LIMIT);
    await redis.kill();
    await other.becomes('local');
    const later = await other.connectMany(LIMIT);
    expect(await other.statusOfArrival()).toBe(429);
    expect(other.status.leases).toEqual({ held: 0, unleased: LIMIT });
    await redis.launch();
    await Promise.all([one.becomes('up'), other.becomes('up')]);
    await inOrder(LIMIT);
    await eventually(() => expect(closedWith(4442, [...earlier, ...later])).toBe(LIMIT));
    const { leases } = other.status;
    expect(leases.held + one.status.leases.held).toBe(LIMIT);
    expect(leases.unleased + one.status.leases.unleased).toBe(0);
  });

  it('CLIENT PAUSE: no client waits for Redis longer than the deadline', async () => {
    const node = await start({ acquireTimeoutMs: 100, commandTimeoutMs: 200 });
    const first = await node.connect();
    await redis.command('CLIENT', 'PAUSE', '600000', 'WRITE');
    // Redis is paused for ten minutes, so an accepted client has not waited for it.
    const second = await node.connect();
    await eventually(() => {
      expect(node.status.state).toBe('local');
      // On a slow machine, the slot of the first is uncertain too by now.
      expect(node.status.leases.unleased).toBeGreaterThanOrEqual(1);
    });
    expect(await second.ask('echo', 1)).toEqual({ event: 'echo', data: 1 });
    expect(await first.ask('echo', 2)).toEqual({ event: 'echo', data: 2 });
    await redis.command('CLIENT', 'UNPAUSE');
    await node.becomes('up');
    await inOrder(2);
    expect(node.status.leases).toEqual({ held: 2, unleased: 0 });
  });

  it('lost reply: retries with the same slot, and never takes two', async () => {
    await using proxy = await TcpProxy.start(redis.port);
    const url = `redis://127.0.0.1:${proxy.port}`;
    const node = await start({ ...LASTING, url, acquireTimeoutMs: 100, commandTimeoutMs: 10_000 });
    // Redis must know the script already, or the lost reply would be NOSCRIPT.
    await (await node.connect()).close();
    await inOrder(0);
    proxy.isMute = true;
    const client = await node.connect();
    await eventually(async () => expect(await redis.leases()).toBe(1));
    await eventually(() =>
      expect(node.status).toMatchObject({ state: 'local', leases: { held: 0, unleased: 1 } }),
    );
    proxy.isMute = false;
    proxy.cut();
    await node.becomes('up');
    await inOrder(1);
    expect(node.status.leases).toEqual({ held: 1, unleased: 0 });
    await client.close();
    await inOrder(0);
  });

  it('network split: other nodes may take expired slots, and the next renewal decides', async () => {
    await using proxy = await TcpProxy.start(redis.port);
    const cutOff = await start({ url: `redis://127.0.0.1:${proxy.port}` });
    const other = await start();
    const earlier = await cutOff.connectMany(LIMIT);
    proxy.isClosed = true;
    proxy.cut();
    await cutOff.becomes('local');
    // The leases end, because the node cannot renew them.
    const later: TestClient[] = [];
    await eventually(async () => {
      later.push(await other.connect());
      expect(later.length).toBe(LIMIT - 1);
    }, PATIENCE_MS);
    // The cut-off node still serves its connections.
    for (const client of earlier) {
      expect(await client.ask('echo', 1)).toEqual({ event: 'echo', data: 1 });
    }
    proxy.isClosed = false;
    await cutOff.becomes('up');
    await inOrder(LIMIT);
    await eventually(() => expect(closedWith(4442, earlier)).toBe(LIMIT - 1));
    expect(closedWith(4442, later)).toBe(0);
  });

  it('fail-over that loses the last writes: restores the held slots', async () => {
    await using replica = await TestRedis.start(['--replicaof', '127.0.0.1', String(redis.port)]);
    await using proxy = await TcpProxy.start(redis.port);
    const url = `redis://127.0.0.1:${proxy.port}`;
    const [one, other] = [await start({ ...LASTING, url }), await start({ ...LASTING, url })];
    await one.connect();
    await eventually(async () => expect(await replica.leases()).toBe(1), PATIENCE_MS);
    // From here on, writes do not reach the replica.
    await replica.command('REPLICAOF', 'NO', 'ONE');
    await other.connectMany(LIMIT - 1);
    expect([await redis.leases(), await replica.leases()]).toEqual([LIMIT, 1]);
    proxy.target = replica.port;
    await redis.kill();
    await eventually(async () => expect(await replica.leases()).toBe(LIMIT), PATIENCE_MS);
    await Promise.all([one.becomes('up'), other.becomes('up')]);
    expect(await one.statusOfArrival()).toBe(429);
    expect(one.live('ada') + other.live('ada')).toBe(LIMIT);
  });

  it('a Redis connection that goes dead: is replaced by a new one', async () => {
    await using proxy = await TcpProxy.start(redis.port);
    const url = `redis://127.0.0.1:${proxy.port}`;
    const node = await start({ url, acquireTimeoutMs: 200, commandTimeoutMs: 200 });
    await node.connect();
    const before = proxy.opened;
    proxy.freeze();
    await node.becomes('local');
    await eventually(() => expect(proxy.opened).toBeGreaterThan(before), PATIENCE_MS);
    await node.becomes('up');
    await inOrder(1);
  });

  it.each([
    ['OOM', ['CONFIG', 'SET', 'maxmemory', '1'], ['CONFIG', 'SET', 'maxmemory', '0']],
    ['READONLY', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
  ])('%s errors: count as failures of Redis', async (name, fault, mend) => {
    const node = await start();
    const first = await node.connect();
    await redis.command(...fault);
    const second = await node.connect();
    await node.becomes('local');
    expect(node.status.lastError).toContain(name);
    expect(node.status.counters.failures['error-reply']).toBeGreaterThan(0);
    for (const client of [first, second]) {
      expect(await client.ask('echo', 1)).toEqual({ event: 'echo', data: 1 });
    }
    await redis.command(...mend);
    await node.becomes('up');
    await inOrder(2);
  });

  it('a key of the wrong type: affects its user only', async () => {
    const node = await start();
    await node.connect();
    const [key] = (await redis.command('KEYS', '*:leases')) as [string];
    await redis.command('SET', key, 'in the way');
    await node.connect();
    expect(node.status).toMatchObject({ state: 'up' });
    expect(node.status.leases.unleased).toBeGreaterThan(0);
    await node.connect('eve');
    expect(node.status.lastError).toContain('WRONGTYPE');
    // The arrival and the later renewals fail.
    await eventually(
      () => expect(node.status.counters.failures['error-reply']).toBeGreaterThan(3),
      PATIENCE_MS,
    );
    expect(node.timesDegraded).toBe(0);
    await redis.command('DEL', key);
    await eventually(
      () => expect(node.status.leases).toEqual({ held: 3, unleased: 0 }),
      PATIENCE_MS,
    );
  });

  it('no room for the subscriber connection: is reported once, and once when it works again', async () => {
    const node = await start({ ...LASTING, heartbeatMs: 100 });
    await node.connect();
    const lines = String(await redis.command('CLIENT', 'LIST'))
      .trim()
      .split('\n');
    await redis.command('CONFIG', 'SET', 'maxclients', String(lines.length - 1));
    await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    const said = (what: string) => node.warnings.filter((warning) => warning.includes(what));
    await eventually(() =>
      expect(said('receives no messages from the other nodes')).toHaveLength(1),
    );
    expect(node.status).toMatchObject({ state: 'up', leases: { held: 1, unleased: 0 } });
    await redis.command('CONFIG', 'SET', 'maxclients', '1000');
    await eventually(() =>
      expect(said('receives messages from the other nodes again')).toHaveLength(1),
    );
    expect(said('receives no messages from the other nodes')).toHaveLength(1);
  });

  it('an eviction policy that deletes keys: causes a warning', async () => {
    await redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');
    const node = await start();
    await eventually(() => {
      expect(node.warnings).toEqual([expect.stringContaining('allkeys-lru')]);
    });
  });

  it("onUnavailable 'closed': refuses new clients with 503, keeps open connections, and recovers", async () => {
    const node = await start({ onUnavailable: 'closed' });
    const client = await node.connect();
    await redis.kill();
    await node.becomes('closed');
    const refused = await node.connect().catch((error: unknown) => error);
    expect(refused).toMatchObject({
      status: 503,
      headers: { 'retry-after': expect.stringMatching(/^([5-9]|10)$/) },
    });
    expect(await client.ask('echo', 1)).toEqual({ event: 'echo', data: 1 });
    await redis.launch();
    await node.becomes('up');
    expect(await node.statusOfArrival()).toBe(101);
    await inOrder(2);
  });

  it("onUnavailable 'open': accepts up to the limit of the process, and closes the excess when Redis is back", async () => {
    const node = await start({ onUnavailable: 'open' });
    await redis.kill();
    await node.becomes('open');
    const clients = await node.connectMany(8);
    expect(await node.statusOfArrival()).toBe(503);
    await redis.launch();
    await node.becomes('up');
    await inOrder(LIMIT);
    await eventually(() => expect(closedWith(4442, clients)).toBe(8 - LIMIT));
  });

  it('Redis unavailable at start: the app starts without it, and joins later', async () => {
    await redis.kill();
    const node = await start({ commandTimeoutMs: 1_000 });
    expect(node.status.state).toBe('local');
    await node.connect();
    await redis.launch();
    await node.becomes('up');
    await inOrder(1);
  });
});
