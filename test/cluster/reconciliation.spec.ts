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
const PATIENCE_MS = 60_000;
/** What a test waits for must not come about because a lease ends by itself. */
const LONG_LEASE = { leaseMs: 600_000, renewMs: 200_000 };
/** The answer to one command is waited for this long; Redis counts as away by lines that are cut, and by nothing else. */
const LOST_ANSWER = { acquireTimeoutMs: 200, commandTimeoutMs: 20_000 };

const closeCodes = (clients: readonly TestClient[]) => clients.map(({ closeCode }) => closeCode);
const open = (count: number) => Array.from({ length: count }, () => undefined);

/** A node, and its own line to Redis. */
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

describe('what users did while Redis could not be told', () => {
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
  /** Every live connection has exactly one slot, and there are no others. */
  const inOrder = (count: number) =>
    eventually(async () => {
      const live = nodes.reduce((sum, node) => sum + node.live('ada'), 0);
      const held = nodes.reduce((sum, node) => sum + node.status.leases.held, 0);
      expect([live, held, await redis.leases()]).toEqual([count, count, count]);
    }, PATIENCE_MS);

  it('all tabs that were reloaded stay open, and hold the slots of those they replace', async () => {
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
    'tabs that moved to another node stay open when %s reaches Redis first',
    async (first) => {
      const [old, fresh] = [await start(), await start()];
      const earlier = await old.node.connectMany(LIMIT);
      await cut(old, fresh);
      await closeAll(earlier);
      const later = await fresh.node.connectMany(LIMIT);
      const [one, other] = first === 'the old node' ? [old, fresh] : [fresh, old];
      await mend(one);
      // Where the new node is first there is no room, as far as it can tell; nobody loses anything for that.
      await eventually(() => expect(fresh.node.status.leases.unleased).toBe(LIMIT));
      await mend(other);
      await inOrder(LIMIT);
      expect(closeCodes(later)).toEqual(open(LIMIT));
      expect(fresh.node.status.counters.lost).toBe(0);
    },
  );

  it('tabs on a node without Redis are closed where those in the way turn out to be alive', async () => {
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

  it('a slot whose node is asked for it while a user is at the limit is given back at once', async () => {
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
    'a slot whose answer was lost is free again when the client %s',
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

  it("a slot whose answer was lost is free again where nobody gets in meanwhile ('closed')", async () => {
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

  it('a slot is free again whose release was lost on the way', async () => {
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

  it('a slot is free again that is given up while the script that takes it is sent anew', async () => {
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

  it('slots are free again of a process that was told to go while Redis was away', async () => {
    const { node, proxy } = await start();
    const raw = await RawSocket.open(node.port);
    raw.write(upgradeRequest('/chat?user=ada'));
    await inOrder(1);
    await cut({ node, proxy });
    const goodbyes = raw.bytes.length;
    const closed = node.close();
    nodes = [];
    // The slots are given up when the goodbyes begin; this client does not answer, so that there is time.
    await eventually(() => expect(raw.bytes.length).toBeGreaterThan(goodbyes));
    proxy.isClosed = false;
    await eventually(async () => expect(await redis.leases()).toBe(0));
    await closed;
  });
});

/** Leases of a node that nothing there knows of, as lost releases leave them. */
async function plantStrays(
  redis: TestRedis,
  node: LocalNode,
  count: number,
  leave: () => Promise<void>,
): Promise<void> {
  const [key] = (await redis.command('KEYS', '*:leases')) as [string];
  await leave();
  const [seconds] = (await redis.command('TIME')) as [string];
  // Long before now: the node has renewed since.
  const end = String(Number(seconds) * 1000 + LONG_LEASE.leaseMs - 5_000);
  for (let index = 0; index < count; index += 1) {
    await redis.command('ZADD', key, end, `${node.status.nodeId}:conn_gone${index}`);
  }
}

/** A client that takes its time where a script has to be sent in full. */
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

describe('a slot that is given back while Redis asks for a script in full', () => {
  it('is not taken again by the script, which comes after that', async () => {
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
      // After the answers that are still to come.
      await client.close();
      await redis.stop();
    }
    expect(faults).toEqual([]);
  });
});
