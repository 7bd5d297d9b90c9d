import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { ClusterNode, SHORT_LEASE } from '../support/cluster.js';
import { TestRedis } from '../support/redis.js';

const LIMIT = 3;
/** Long enough for a busy machine. Measurements use the clock of Redis. */
const PATIENCE_MS = 900_000;

const closedWith = (code: number, clients: readonly TestClient[]): TestClient[] =>
  clients.filter(({ closeCode }) => closeCode === code);

describe('a node of a cluster', () => {
  let redis: TestRedis;
  let nodes: ClusterNode[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
    const options = {
      limits: { maxManagersPerUser: LIMIT },
      cleanup: { probeTimeoutMs: 2_000 },
    };
    // Slow disconnect hooks, so that old connections end late.
    const start = () => ClusterNode.start(redis.url, {}, { options, goodbyeMs: 1_000 });
    nodes = await Promise.all([start(), start(), start()]);
  });
  afterEach(async () => {
    const living = nodes.filter((node) => !node.hasEnded);
    await Promise.all(living.map((node) => node.call('cleanUp')));
    await eventually(async () => expect(await redis.leases()).toBe(0), PATIENCE_MS);
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.kill()));
    await redis.stop();
  });
  it('that was frozen for longer than a lease handles no message for a slot that was taken', async () => {
    const [frozen, other] = nodes;
    const clients = await frozen!.connectMany('ada', LIMIT);
    for (const client of clients) await client.ask('echo', 'before');
    await frozen!.call('takeHandled');
    frozen!.signal('SIGSTOP');
    for (const client of clients) client.send('echo', 'into the freeze');
    const newer: TestClient[] = [];
    await eventually(async () => {
      const arrival = await other!.tryToConnect('ada');
      if (arrival instanceof TestClient) newer.push(arrival);
      expect(newer.length).toBe(LIMIT);
    }, PATIENCE_MS);
    frozen!.signal('SIGCONT');
    await eventually(() => expect(closedWith(4442, clients)).toEqual(clients), PATIENCE_MS);
    expect(await frozen!.call('takeHandled')).toEqual([]);
    expect(await redis.leases()).toBe(LIMIT);
    expect(await other!.call('live', 'ada')).toBe(LIMIT);
    expect(await frozen!.call('status')).toMatchObject({ counters: { lost: LIMIT } });
  });

  it('that was frozen keeps the slots that were not taken, the oldest first, and handles waiting messages', async () => {
    const [frozen, other] = nodes;
    const clients: TestClient[] = [];
    for (let count = 0; count < LIMIT; count += 1) clients.push(await frozen!.connect('ada'));
    // Wait for a common renewal, so that all leases end at the same time.
    await eventually(async () => {
      expect(new Set(await deadlines(redis)).size).toBe(1);
    }, PATIENCE_MS);
    frozen!.signal('SIGSTOP');
    for (const client of clients) client.send('echo', 'into the freeze');
    await eventually(async () => {
      expect(await remainingMs(redis)).toBeLessThan(0);
    }, PATIENCE_MS);
    expect(await other!.tryToConnect('ada')).toBeInstanceOf(TestClient);
    frozen!.signal('SIGCONT');
    await eventually(() => expect(closedWith(4442, clients)).toEqual([clients[2]]), PATIENCE_MS);
    for (const client of clients.slice(0, 2)) {
      expect(await client.next(undefined, PATIENCE_MS)).toEqual({
        event: 'echo',
        data: 'into the freeze',
      });
    }
    expect((await frozen!.call('takeHandled')).length).toBe(2);
    expect(await redis.leases()).toBe(LIMIT);
  });

  it.each([3_600_000, -3_600_000])('whose clock jumps by %i ms keeps its slots', async (jumpMs) => {
    const [wrong, right] = nodes;
    const clients = [...(await wrong!.connectMany('ada', 2)), await right!.connect('ada')];
    await wrong!.call('jump', jumpMs);
    const { counters } = await wrong!.call('status');
    // Wait until every slot has been renewed twice.
    for (let round = 0; round < 2; round += 1) {
      const latest = (await deadlines(redis)).at(-1)!;
      await eventually(async () => {
        expect((await deadlines(redis))[0]).toBeGreaterThan(latest);
      }, PATIENCE_MS);
    }
    expect(await right!.tryToConnect('ada')).toBe(429);
    expect(clients.map(({ closeCode }) => closeCode)).toEqual([undefined, undefined, undefined]);
    expect((await wrong!.call('status')).counters).toEqual(counters);
    expect(await redis.leases()).toBe(LIMIT);
  });

  it('that is replaced in a rolling deploy releases its slots before it closes a connection', async () => {
    const [old, fresh] = nodes;
    const clients = await old!.connectMany('ada', LIMIT);
    const back = clients.map(async (client) => {
      const code = await client.closed(PATIENCE_MS);
      return { code, leasesLeft: await redis.leases() };
    });
    const closing = old!.call('close');
    const goodbyes = await Promise.all(back);
    expect(goodbyes).toEqual(clients.map(() => ({ code: 1001, leasesLeft: 0 })));
    const outcomes = await Promise.all(clients.map(() => fresh!.tryToConnect('ada')));
    expect(outcomes).toEqual(clients.map(() => expect.any(TestClient) as unknown));
    await closing;
    await old!.ended();
    expect(await redis.leases()).toBe(LIMIT);
    expect(await fresh!.call('live', 'ada')).toBe(LIMIT);
  });

  it('that is killed holds its slots for at most one lease', async () => {
    const [, other, victim] = nodes;
    await victim!.connectMany('ada', LIMIT);
    await victim!.kill();
    // The leases are not renewed any more, so each ends within a lease time.
    expect(await remainingMs(redis)).toBeLessThanOrEqual(SHORT_LEASE.leaseMs);
    expect(await other!.tryToConnect('ada')).toBe(429);
    for (let free = 0; free < LIMIT; free += 1) {
      await eventually(async () => {
        expect(await other!.tryToConnect('ada')).toBeInstanceOf(TestClient);
      }, PATIENCE_MS);
    }
    expect(await other!.tryToConnect('ada')).toBe(429);
  });
});

/** Resolves with the deadlines of all leases by the clock of Redis, the earliest first. */
async function deadlines(redis: TestRedis): Promise<number[]> {
  const [key] = (await redis.command('KEYS', '*:leases')) as string[];
  const pairs = (await redis.command('ZRANGE', key!, '0', '-1', 'WITHSCORES')) as unknown[];
  return pairs
    .flat()
    .map(Number)
    .filter((value) => !Number.isNaN(value))
    .toSorted((one, other) => one - other);
}

async function remainingMs(redis: TestRedis): Promise<number> {
  const latest = (await deadlines(redis)).at(-1)!;
  const [seconds, micros] = (await redis.command('TIME')) as [string, string];
  return latest - (Number(seconds) * 1000 + Math.floor(Number(micros) / 1000));
}
