import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { UserExecutionContext, type WebSocketManager } from 'nestjs-websocket-isolation';
import { eventually } from 'nestjs-websocket-isolation/testing';

import { TestRedis } from '../support/redis.js';
import { LocalNode } from './local-node.js';

/** The promise is stated for the full size, which takes minutes: `HOT_TOPIC=full`, or a part of it, `=0.1`. */
const TRIAL = process.env['HOT_TOPIC'];
const PART = TRIAL === 'full' ? 1 : Number(TRIAL ?? 0);
const IS_LARGE = PART > 0;
/** Members of the topic on each of three nodes. Most are managers without a socket, of which there may be any number. */
const EACH = IS_LARGE ? Math.ceil(33_333 * PART) : 100;
/** Members of the smaller topic on each of the nodes. */
const COMPARED = IS_LARGE ? 333 : 4;
const PER_USER = 2;
const AT_ONCE = 500;
const ROUNDS = IS_LARGE ? 21 : 3;
const JOINS = IS_LARGE ? 50 : 5;
// A few members are fewer than the noise of a measurement.
const MOST_RATIO = IS_LARGE ? 2 : Number.POSITIVE_INFINITY;
const MOST_KEPT = IS_LARGE ? 0.1 : Number.POSITIVE_INFINITY;
const AN_HOUR_MS = 3_600_000;
const PATIENCE_MS = 900_000;

let redis: TestRedis;
const nodes: LocalNode[] = [];

beforeAll(async () => {
  redis = await TestRedis.start();
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.close()));
});
afterAll(() => redis.stop());

const soon = (assertion: () => void | Promise<void>): Promise<void> =>
  eventually(assertion, PATIENCE_MS);

async function start(): Promise<LocalNode> {
  const lease = { leaseMs: 60_000, renewMs: 20_000, commandTimeoutMs: 60_000 };
  const node = await LocalNode.start(
    { url: redis.url, ...lease },
    {
      limits: { maxManagers: EACH + 1_000 },
      // Managers that never get a socket would be cleaned up.
      cleanup: { unattachedAfterMs: AN_HOUR_MS },
      topics: { presence: true },
    },
  );
  nodes.push(node);
  return node;
}

async function managersOn({ factory }: LocalNode, count: number): Promise<WebSocketManager[]> {
  const place = nodes.findIndex((node) => node.factory === factory);
  const managers: WebSocketManager[] = [];
  while (managers.length < count) {
    const wanted = Math.min(AT_ONCE, count - managers.length);
    const created = Array.from({ length: wanted }, (_, index) => {
      const userId = `user-${place}-${Math.floor((managers.length + index) / PER_USER)}`;
      return factory.createManager(UserExecutionContext.fromWebSocketRequest({ userId }));
    });
    managers.push(...(await Promise.all(created)));
  }
  return managers;
}

/** Microseconds of processor time of all nodes for each join and leave, where none waits for company. */
async function joinAndLeave(managers: readonly WebSocketManager[], topic: string): Promise<number> {
  const before = process.cpuUsage();
  for (const manager of managers) {
    await manager.join(topic);
    manager.leave(topic);
  }
  const { user, system } = process.cpuUsage(before);
  return (user + system) / managers.length;
}

async function heapUsed(): Promise<number> {
  for (let round = 0; round < 3; round += 1) {
    await new Promise(setImmediate);
    globalThis.gc!();
  }
  return process.memoryUsage().heapUsed;
}

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;

describe(`a topic of ${EACH * 3} members on three nodes`, () => {
  it('costs one message per node that has members, and no more for a member the more there are', async () => {
    const holders = [await start(), await start(), await start()];
    const sender = await start();
    const crowds = await Promise.all(holders.map((node) => managersOn(node, EACH)));
    const all = crowds.flat();
    const heapBefore = await heapUsed();
    await Promise.all(all.map((manager) => manager.join('hot')));
    const clients = await Promise.all(
      holders.map((node, index) => node.member(`reader-${index}`, 'hot')),
    );
    const heapFull = await heapUsed();
    const users = (Math.ceil(EACH / PER_USER) + 1) * 3;
    await soon(async () => expect(await sender.presence.count('hot')).toBe(users));

    // One message for each node that has members, and none for the one that has none.
    const published: string[] = [];
    const monitor = await redis.monitor((command) => {
      if (command.includes('"PUBLISH"') && command.includes('once-per-node')) {
        published.push(command);
      }
    });
    sender.emitter.toTopic('hot').send('once-per-node');
    for (const { messages } of clients) {
      await soon(() => expect(messages.map(({ event }) => event)).toContain('once-per-node'));
    }
    sender.emitter.toTopic('hot').send('last');
    for (const { messages } of clients) {
      await soon(() => expect(messages.map(({ event }) => event)).toContain('last'));
    }
    expect(published).toHaveLength(holders.length);
    monitor.destroy();
    // It has reached all members: those without a socket count as dropped.
    await soon(async () => {
      const { sent, dropped } = await sender.emitter.toTopic('hot').sendAsync('told');
      expect({ sent, dropped }).toEqual({ sent: holders.length, dropped: all.length });
    });

    // What a join costs does not depend on how many are in already.
    const few = crowds.flatMap((crowd) => crowd.slice(0, COMPARED));
    await Promise.all(few.map((manager) => manager.join('compared')));
    const some = crowds.flatMap((crowd) => crowd.slice(-JOINS));
    for (const manager of some) manager.leave('hot');
    const costs = { hot: [] as number[], compared: [] as number[] };
    for (let round = 0; round <= ROUNDS; round += 1) {
      for (const topic of ['hot', 'compared'] as const) {
        const us = await joinAndLeave(some, topic);
        // The first round warms up.
        if (round > 0) costs[topic].push(us);
      }
    }
    const ratio = median(costs.hot.map((us, index) => us / costs.compared[index]!));
    process.stdout.write(
      `hot-topic: ${all.length} members, ${published.length} messages to nodes; a join and leave costs ` +
        `${median(costs.hot).toFixed(0)} µs, beside ${median(costs.compared).toFixed(0)} µs with ${few.length} members: ` +
        `${ratio.toFixed(2)}\n`,
    );
    // If every member were looked at, the cost would be a multiple.
    expect(ratio).toBeLessThan(MOST_RATIO);

    // Nothing is left.
    for (const manager of all) for (const topic of ['hot', 'compared']) manager.leave(topic);
    for (const client of clients) await client.close();
    await soon(() => {
      expect(holders.map(({ memberships }) => memberships)).toEqual([0, 0, 0]);
    });
    await soon(async () => expect(await redis.command('KEYS', '*{t:*')).toEqual([]));
    const heapAfter = await heapUsed();
    const kept = (heapAfter - heapBefore) / (heapFull - heapBefore);
    process.stdout.write(
      `hot-topic: ${((heapFull - heapBefore) / all.length).toFixed(0)} B of heap per membership, ` +
        `${(kept * 100).toFixed(0)} % of it left\n`,
    );
    expect(kept).toBeLessThan(MOST_KEPT);
  });
});
