import { setTimeout } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';
import { createClient } from 'redis';

import { systemClock } from '../../src/time/clock.js';
import { Keys } from '../../src/redis/keys.js';
import { LeaseRegistry } from '../../src/redis/lease-registry.js';
import { LeaseTable } from '../../src/redis/lease-table.js';
import { Reconciliation } from '../../src/redis/reconciliation.js';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { LocalNode } from './local-node.js';

const LIMIT = 20;
const PATIENCE_MS = 900_000;
/** A long lease, so that no test passes only because a lease ends. */
const LONG_LEASE = { leaseMs: 600_000, renewMs: 200_000 };
/** A short acquire timeout and a long command timeout: Redis counts as away only when a connection is cut. */
const LOST_ANSWER = { acquireTimeoutMs: 200, commandTimeoutMs: 20_000 };

const closeCodes = (clients: readonly TestClient[]) => clients.map(({ closeCode }) => closeCode);
const open = (count: number) => Array.from({ length: count }, () => undefined);

/** A node, and its proxied connection to Redis. */
interface Part {
  readonly node: LocalNode;
  readonly proxy: TcpProxy;
}

const cut = async (...parts: readonly Part[]) => {
  for (const { proxy } of parts) {
    proxy.isClosed = true;
    proxy.cut();
  }
  await Promise.all(parts.map(({ node }) => node.becomes('local')));
};

const mend = async ({ node, proxy }: Part) => {
  proxy.isClosed = false;
  await node.becomes('up');
};

const closeAll = (clients: readonly TestClient[]) =>
  Promise.all(clients.map((client) => client.close()));

describe('changes of connections while Redis is unreachable', () => {
  let redis: TestRedis;
  let nodes: LocalNode[];
  let proxies: TcpProxy[];
  beforeEach(async () => {
    redis = await TestRedis.start();
    nodes = [];
    proxies = [];
  });
  afterEach(async () => {
    await Promise.all(nodes.map((node) => node.close()));
    await Promise.all(proxies.map((proxy) => proxy[Symbol.asyncDispose]()));
    await redis.stop();
  });

  async function start(cluster: RedisClusterOptions = {}, limit = LIMIT): Promise<Part> {
    const proxy = await TcpProxy.start(redis.port);
    proxies.push(proxy);
    const url = `redis://127.0.0.1:${proxy.port}`;
    const limits = { maxManagersPerUser: limit };
    const node = await LocalNode.start({ ...LONG_LEASE, url, ...cluster }, { limits });
    nodes.push(node);
    return { node, proxy };
  }
  /** Waits until every live connection has exactly one slot, and there are no other slots. */
  const inOrder = (count: number) =>
    eventually(async () => {
      const live = nodes.reduce((sum, node) => sum + node.live('ada'), 0);
      const held = nodes.reduce((sum, node) => sum + node.status.leases.held, 0);
      expect([live, held, await redis.leases()]).toEqual([count, count, count]);
    }, PATIENCE_MS);

  it('reloaded tabs stay open, and take the slots of the tabs they replace', async () => {
    const { node, proxy } = await start();
    const earlier = await node.connectMany(LIMIT);
    await cut({ node, proxy });
    await closeAll(earlier);
    await eventually(() => expect(node.live('ada')).toBe(0));
    const later = await node.connectMany(LIMIT);
    await mend({ node, proxy });
    await inOrder(LIMIT);
    expect(closeCodes(later)).toEqual(open(LIMIT));
    expect(node.status.counters).toMatchObject({ lost: 0, restored: LIMIT });
    expect(await node.statusOfArrival()).toBe(429);
    await closeAll(later);
    await inOrder(0);
  });

  it.each(['the old node', 'the new node'])(
    'tabs that moved to another node stay open if %s reaches Redis first',
    async (first) => {
      const [old, fresh] = [await start(), await start()];
      const earlier = await old.node.connectMany(LIMIT);
      await cut(old, fresh);
      await closeAll(earlier);
      const later = await fresh.node.connectMany(LIMIT);
      const [one, other] = first === 'the old node' ? [old, fresh] : [fresh, old];
      await mend(one);
      // If the new node is first, it finds no free slot in Redis. Its connections must stay open nevertheless.
      await eventually(() => expect(fresh.node.status.leases.unleased).toBe(LIMIT));
      await mend(other);
      await inOrder(LIMIT);
      expect(closeCodes(later)).toEqual(open(LIMIT));
      expect(fresh.node.status.counters.lost).toBe(0);
    },
  );

  it('tabs on a node without Redis are closed if the connections that hold the slots are alive', async () => {
    const [one, other] = [await start({}, 3), await start({}, 3)];
    const earlier = await one.node.connectMany(2);
    await cut(other);
    const later: TestClient[] = [];
    for (let count = 0; count < 3; count += 1) later.push(await other.node.connect());
    await mend(other);
    await inOrder(3);
    await eventually(() => expect(closeCodes(later)).toEqual([undefined, 4442, 4442]));
    expect(closeCodes(earlier)).toEqual(open(2));
  });

  it('a stray slot is released at once when an arrival at the limit asks its node', async () => {
    const [one, other] = [await start({}, 3), await start({}, 3)];
    const earlier = await one.node.connectMany(3);
    await plantStrays(redis, one.node, 2, async () => {
      await closeAll(earlier);
      await inOrder(0);
    });
    expect(await redis.leases()).toBe(2);
    const clients = await other.node.connectMany(3);
    expect(closeCodes(clients)).toEqual(open(3));
    await inOrder(3);
  });

  it.each(['leaves after Redis is back', 'leaves before Redis is back'])(
    'a slot whose reply was lost is free again when the client %s',
    async (when) => {
      const { node, proxy } = await start(LOST_ANSWER);
      await (await node.connect()).close();
      await inOrder(0);
      proxy.isMute = true;
      const client = await node.connect();
      await eventually(async () => expect(await redis.leases()).toBe(1));
      if (when === 'leaves before Redis is back') {
        proxy.isClosed = true;
        proxy.cut();
        await client.close();
      }
      proxy.isMute = false;
      proxy.isClosed = false;
      proxy.cut();
      await node.becomes('up');
      await client.close();
      await inOrder(0);
    },
  );

  it("a slot whose reply was lost is free again with onUnavailable 'closed'", async () => {
    const { node, proxy } = await start({ ...LOST_ANSWER, onUnavailable: 'closed' });
    await (await node.connect()).close();
    await inOrder(0);
    proxy.isMute = true;
    expect(await node.statusOfArrival()).toBe(503);
    proxy.isClosed = true;
    proxy.cut();
    await node.becomes('closed');
    proxy.isMute = false;
    await mend({ node, proxy });
    await inOrder(0);
  });

  it('a slot whose release was lost is free again', async () => {
    const { node, proxy } = await start();
    const [client, other] = [await node.connect(), await node.connect('eve')];
    proxy.isDeaf = true;
    await client.close();
    await eventually(() => expect(node.live('ada')).toBe(0));
    proxy.isDeaf = false;
    proxy.cut();
    await eventually(() => expect(node.timesDegraded).toBe(1), PATIENCE_MS);
    await node.becomes('up');
    await eventually(async () => expect(await redis.leases()).toBe(1), PATIENCE_MS);
    expect(other.closeCode).toBeUndefined();
  });

  it('a slot that is released while the acquire script is sent again is free', async () => {
    const [sent, done] = [[], []] as [string[], string[]];
    const client = slowToSendScripts(redis, sent, done);
    const { node } = await start({ url: undefined, client });
    const raw = await RawSocket.open(node.port);
    sent.length = done.length = 0;
    raw.write(upgradeRequest('/chat?user=ada'));
    await eventually(() => expect(sent).toHaveLength(1));
    await node.factory.cleanupUser('ada');
    await eventually(() => expect(done).toHaveLength(1));
    await eventually(async () => expect(await redis.leases()).toBe(0));
  });

  it('slots of a process that shuts down while Redis is away are free again', async () => {
    const { node, proxy } = await start();
    const raw = await RawSocket.open(node.port);
    raw.write(upgradeRequest('/chat?user=ada'));
    await inOrder(1);
    await cut({ node, proxy });
    const goodbyes = raw.bytes.length;
    const closed = node.close();
    nodes = [];
    // The node releases the slots when it sends the close frames. This client does not reply, so the node waits.
    await eventually(() => expect(raw.bytes.length).toBeGreaterThan(goodbyes));
    proxy.isClosed = false;
    await eventually(async () => expect(await redis.leases()).toBe(0));
    await closed;
  });
});

/** Writes leases to Redis that their node does not know, like lost releases do. */
async function plantStrays(
  redis: TestRedis,
  node: LocalNode,
  count: number,
  leave: () => Promise<void>,
): Promise<void> {
  const [key] = (await redis.command('KEYS', '*:leases')) as [string];
  await leave();
  const [seconds] = (await redis.command('TIME')) as [string];
  // The leases look older than the node's last renewal.
  const end = String(Number(seconds) * 1000 + LONG_LEASE.leaseMs - 5_000);
  for (let index = 0; index < count; index += 1) {
    await redis.command('ZADD', key, end, `${node.status.nodeId}:conn_gone${index}`);
  }
}

/** Returns a client that is slow when it sends a script in full (EVAL). */
function slowToSendScripts(redis: TestRedis, sent: string[], done: string[]) {
  const client = createClient({ url: redis.url });
  const duplicate = client.duplicate.bind(client);
  const slow = (...overrides: Parameters<typeof duplicate>) => {
    const copy = duplicate(...overrides);
    const run = copy.eval.bind(copy);
    const slowRun = async (source: string, parts: never) => {
      sent.push(source);
      await setTimeout(300);
      const answer = await run(source, parts);
      done.push(source);
      return answer;
    };
    return Object.assign(copy, { eval: slowRun });
  };
  return Object.assign(client, { duplicate: slow });
}

describe('a slot that is released while a script is sent in full', () => {
  it('is not taken again by the script that arrives later', async () => {
    const redis = await TestRedis.start();
    const client = createClient({ url: redis.url });
    await client.connect();
    const faults: unknown[] = [];
    try {
      const table = new LeaseTable(new Keys('wsi', '', 0), 'n1', systemClock, LONG_LEASE.leaseMs);
      const registry = new LeaseRegistry(() => client, 'n1', LONG_LEASE.leaseMs);
      const reconciliation = new Reconciliation({
        clock: systemClock,
        settings: { commandTimeoutMs: PATIENCE_MS } as never,
        nodeId: 'n1',
        table,
        registry,
        bus: {} as never,
        holder: () => ({ limit: 3 }) as never,
        isOverslept: () => false,
        stumbled: (error) => void faults.push(error),
      });
      const lease = table.add('ada', 'c1', () => undefined);
      await registry.acquire(lease.user.keys, lease.member, 3);
      lease.state = 'held';
      await redis.command('SCRIPT', 'FLUSH');
      const renewed = reconciliation.all();
      table.remove(lease);
      await Promise.all([renewed, reconciliation.release(lease)]);
      await eventually(async () => expect(await redis.leases()).toBe(0), PATIENCE_MS);
    } finally {
      // `close` waits for the replies that are still to come.
      await client.close();
      await redis.stop();
    }
    expect(faults).toEqual([]);
  });
});
