import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';

import { systemClock } from '../../src/time/clock.js';
import { ClusterNode } from '../support/cluster.js';
import { TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { LocalNode } from './local-node.js';

const PATIENCE_MS = 900_000;
const TIMEOUT_MS = 500;
/** Long times, so that no lease ends and no renewal runs during a test. */
const LONG_LEASE = { leaseMs: 60_000, renewMs: 20_000, heartbeatMs: 3_000 };

const isServed = (client: TestClient): Promise<unknown> => client.ask('echo', 1);

describe('a user who is disconnected on all nodes while one of them is frozen', () => {
  let redis: TestRedis;
  let nodes: ClusterNode[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
    nodes = await Promise.all([
      ClusterNode.start(redis.url, LONG_LEASE),
      ClusterNode.start(redis.url, LONG_LEASE),
    ]);
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.kill()));
    await redis.stop();
  });

  it('is disconnected there before it handles another message, and the report names the node', async () => {
    const [other, frozen] = nodes as [ClusterNode, ClusterNode];
    const clients = [await frozen.connect('lou'), await frozen.connect('lou')];
    const [here, eve] = [await other.connect('lou'), await frozen.connect('eve')];
    for (const client of [...clients, eve]) await client.ask('echo', 'before');
    const { nodeId } = await frozen.call('status');
    await frozen.call('takeHandled');
    frozen.signal('SIGSTOP');
    // Resolves when the wait for the frozen node has timed out.
    const report = await other.call('disconnect', 'lou');
    expect(report).toEqual({ disconnected: 1, unconfirmed: [nodeId], isRecorded: true });
    expect(await here.closed()).toBe(4401);
    for (const client of [...clients, eve]) client.send('echo', 'into the freeze');
    frozen.signal('SIGCONT');
    for (const client of clients) expect(await client.closed(PATIENCE_MS)).toBe(4401);
    await eventually(() => expect(eve.messages.at(-1)?.data).toBe('into the freeze'), PATIENCE_MS);
    expect(await frozen.call('takeHandled')).toHaveLength(1);
    // The user can connect again on every node.
    for (const node of nodes) {
      const again = await node.connect('lou');
      expect(await again.ask('echo', 'again')).toMatchObject({ data: 'again' });
      await again.close();
    }
  });
});

describe('a revocation', () => {
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
    const node = await LocalNode.start({ ...LONG_LEASE, url: redis.url, ...cluster });
    nodes.push(node);
    return node;
  }
  const log = async () =>
    (await redis.command('XRANGE', 'wsi:{nodes}:revocations', '-', '+')) as [string, string[]][];

  it('is applied even if its message was lost', async () => {
    const one = await start();
    await using proxy = await TcpProxy.start(redis.port);
    const deaf = await start({ url: `redis://127.0.0.1:${proxy.port}` });
    const [lou, eve] = [await deaf.connect('lou'), await deaf.connect('eve')];
    await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
    const { unconfirmed } = await one.factory.disconnect({ userId: 'lou' });
    // The connection ends, whether or not the message arrived.
    expect(unconfirmed.length).toBeLessThan(2);
    expect(await lou.closed(PATIENCE_MS)).toBe(4401);
    await isServed(eve);
  });

  it('is applied when a node that was cut off is back, to connections that are older than the revocation', async () => {
    const one = await start({ commandTimeoutMs: TIMEOUT_MS });
    await using proxy = await TcpProxy.start(redis.port);
    const url = `redis://127.0.0.1:${proxy.port}`;
    const cutOff = await start({ url, commandTimeoutMs: TIMEOUT_MS });
    const earlier = await cutOff.connect('lou');
    proxy.isClosed = true;
    proxy.cut();
    await cutOff.becomes('local');
    const report = await one.factory.disconnect(
      { userId: 'lou' },
      { code: 4403, reason: 'banned' },
    );
    expect(report).toEqual({
      disconnected: 0,
      unconfirmed: [cutOff.status.nodeId],
      isRecorded: true,
    });
    // A node may estimate a time of Redis too late, by up to the timeout of a command, plus as much for a reply that
    // was read late. In doubt a connection ends, so wait longer than that.
    const revokedAt = systemClock.now();
    await eventually(() => expect(systemClock.now() - revokedAt).toBeGreaterThan(2 * TIMEOUT_MS));
    const later = await cutOff.connect('lou');
    await isServed(earlier);
    proxy.isClosed = false;
    await cutOff.becomes('up');
    expect(await earlier.closed(PATIENCE_MS)).toBe(4403);
    expect(earlier.closeReason).toBe('banned');
    await isServed(later);
    expect(later.closeCode).toBeUndefined();
  });

  it('of one thread, and of one connection, ends no other connection', async () => {
    const [one, other] = [await start(), await start()];
    const clients = [await other.connect('lou&thread=a'), await other.connect('lou&thread=b')];
    expect(await one.factory.disconnectThread('lou', 'a')).toBe(1);
    expect(await clients[0]!.closed()).toBe(4401);
    const [info] = await one.factory.connectionsOf('lou');
    const stranger = await one.factory.disconnect({ connectionId: 'conn_nobody' });
    expect(stranger).toEqual({ disconnected: 0, unconfirmed: [], isRecorded: true });
    expect(clients[1]!.closeCode).toBeUndefined();
    const { connectionId } = info!;
    expect((await one.factory.disconnect({ connectionId })).disconnected).toBe(1);
    expect(await clients[1]!.closed()).toBe(4401);
  });

  it('made while Redis is away is reported as not recorded, and applied when Redis is back', async () => {
    const settings = { commandTimeoutMs: 300, heartbeatMs: 100 };
    const [one, other] = [await start(settings), await start(settings)];
    const lou = await other.connect('lou');
    await eventually(() => expect(one.status.nodes).toHaveLength(2));
    const events: unknown[] = [];
    one.events.on('disconnect-unconfirmed', (event) => void events.push(event));
    await redis.kill();
    await one.becomes('local');
    const report = await one.factory.disconnect({ userId: 'lou' });
    expect(report).toEqual({
      disconnected: 0,
      unconfirmed: [other.status.nodeId],
      isRecorded: false,
    });
    expect(events).toEqual([
      { userId: 'lou', unconfirmed: [other.status.nodeId], isRecorded: false },
    ]);
    await isServed(lou);
    await redis.launch();
    expect(await lou.closed(PATIENCE_MS)).toBe(4401);
  });

  it('is recorded once, although the node looks at the log while it is being recorded', async () => {
    const one = await start({ leaseMs: 600_000, renewMs: 50 });
    const users = Array.from({ length: 900 }, (_, index) => `user-${index}`);
    for (let made = 0; made < users.length; made += 30) {
      const some = users.slice(made, made + 30);
      await Promise.all(some.map((userId) => one.factory.disconnect({ userId })));
    }
    expect(await log()).toHaveLength(users.length);
  });

  it('that Redis has lost is restored by the node that made it', async () => {
    const one = await start();
    await one.factory.disconnect({ userId: 'lou' });
    expect(await log()).toHaveLength(1);
    await redis.command('FLUSHALL');
    await eventually(async () => expect(await log()).toHaveLength(1), PATIENCE_MS);
  });

  it.each([
    ['SET', 'x'],
    ['XADD', '*', 'what', 'not JSON'],
    ['XADD', '*', 'a', 'b', 'at', 'never', 'by', 'x'],
    ['XADD', '*', 'what', '{"target":{"userId":"lou"},"goodbye":{"code":"1"}}', 'at', '1'],
  ])(
    'is recorded and applied although another program wrote %s %s %s %s to the log',
    async (name, ...args) => {
      const [one, other] = [await start(), await start()];
      const lou = await other.connect('lou');
      await redis.command(name, 'wsi:{nodes}:revocations', ...args);
      expect(await one.factory.disconnectUser('lou')).toBe(1);
      expect(await lou.closed()).toBe(4401);
      expect(one.status.state).toBe('up');
    },
  );

  it('is kept for an hour, and the log is bounded', async () => {
    const [one, other] = [await start(), await start()];
    const [seconds] = (await redis.command('TIME')) as [string];
    const old = `${Number(seconds) * 1000 - 3_700_000}`;
    const what = JSON.stringify({ target: { userId: 'lou' }, goodbye: { code: 4401, reason: '' } });
    // Approximate trimming (`~`) removes whole stream nodes of 100 entries, so fill two of them.
    for (let count = 1; count <= 200; count += 1) {
      await redis.command('XADD', 'wsi:{nodes}:revocations', `${old}-${count}`, 'what', what);
    }
    const lou = await other.connect('lou');
    await one.factory.disconnect({ userId: 'nobody' });
    expect((await log()).length).toBeLessThan(150);
    expect(Number(await redis.command('PTTL', 'wsi:{nodes}:revocations'))).toBeGreaterThan(0);
    expect(lou.closeCode).toBeUndefined();
  });
});
