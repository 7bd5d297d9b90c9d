import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { UserExecutionContext, type WebSocketManager } from 'nestjs-websocket-isolation';
import { eventually } from 'nestjs-websocket-isolation/testing';

import { FakeSocket } from '../support/fleet.js';
import { TestRedis } from '../support/redis.js';
import { SEED } from '../support/seed.js';
import { LocalNode } from './local-node.js';

/** The number of joins and leaves. */
const MOVES = Number(process.env['TOPIC_MODEL_MOVES'] ?? 10_000);
/** Joins and leaves between two comparisons. */
const PER_ROUND = 250;
const PATIENCE_MS = 900_000;
const USERS = Array.from({ length: 12 }, (_, index) => `user-${index}`);
const TOPICS = ['tea', 'cake', 'wine', 'a:b', '{t:x}', '__proto__', 'ü'];

interface Step {
  readonly do: 'join' | 'leave' | 'close';
  readonly node: number;
  readonly user: number;
  readonly topic: number;
}

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.oneof(
    { weight: 6, arbitrary: fc.constant('join' as const) },
    { weight: 5, arbitrary: fc.constant('leave' as const) },
    { weight: 1, arbitrary: fc.constant('close' as const) },
  ),
  node: fc.nat(1),
  user: fc.nat(USERS.length - 1),
  topic: fc.nat(TOPICS.length - 1),
});

/** What happens to Redis during a round, now and then. */
const TROUBLES = [
  ['PING'],
  ['PING'],
  ['PING'],
  ['SCRIPT', 'FLUSH'],
  ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'],
  ['CLIENT', 'KILL', 'TYPE', 'pubsub'],
  ['FLUSHALL'],
];
const round = fc.record({
  steps: fc.array(step, { minLength: PER_ROUND, maxLength: PER_ROUND }),
  trouble: fc.constantFrom(...TROUBLES),
  /** After this many steps of the round, and between how many the process goes on. */
  after: fc.nat(PER_ROUND - 1),
  pace: fc.integer({ min: 1, max: 50 }),
});

/** Two nodes, and the connections of their users in topics, as they should be. */
class Cluster {
  readonly members = new Map<WebSocketManager, Set<string>>();
  readonly #places = new Map<string, WebSocketManager>();
  moves = 0;

  constructor(readonly nodes: readonly LocalNode[]) {}

  async #manager(node: number, user: number): Promise<WebSocketManager> {
    const place = `${node} ${user}`;
    const known = this.#places.get(place);
    if (known) return known;
    const context = UserExecutionContext.fromWebSocketRequest({ userId: USERS[user]! });
    const socket = new FakeSocket();
    const manager = await this.nodes[node]!.factory.createManager(context, { socket });
    this.#places.set(place, manager);
    this.members.set(manager, new Set());
    return manager;
  }

  async take({ do: name, node, user, topic }: Step): Promise<void> {
    const manager = await this.#manager(node, user);
    const topics = this.members.get(manager)!;
    const of = TOPICS[topic]!;
    if (name === 'close') {
      this.#places.delete(`${node} ${user}`);
      this.members.delete(manager);
      void manager.close();
      return;
    }
    this.moves += 1;
    if (name === 'join') void manager.join(of);
    else expect(manager.leave(of)).toBe(topics.has(of));
    if (name === 'join') topics.add(of);
    else topics.delete(of);
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.members.keys()].map((manager) => manager.close()));
    this.members.clear();
    this.#places.clear();
  }

  /** Both nodes say of every topic what the model says. */
  async agree(): Promise<void> {
    const wanted = TOPICS.map((topic) => {
      const byUser = new Map<string, number>();
      for (const [{ context }, topics] of this.members) {
        if (!topics.has(topic)) continue;
        byUser.set(context.userId, (byUser.get(context.userId) ?? 0) + 1);
      }
      return [...byUser].toSorted(byName);
    });
    for (const { presence } of this.nodes) {
      const lists = await Promise.all(TOPICS.map((topic) => presence.members(topic)));
      const found = lists.map((users) =>
        users
          .map(({ userId, connections }): [string, number] => [userId, connections])
          .toSorted(byName),
      );
      expect(found).toEqual(wanted);
      const counts = await Promise.all(TOPICS.map((topic) => presence.count(topic)));
      expect(counts).toEqual(wanted.map((users) => users.length));
    }
  }
}

function byName([one]: readonly [string, number], [other]: readonly [string, number]): number {
  return one < other ? -1 : 1;
}

let redis: TestRedis;
let nodes: LocalNode[] = [];
beforeAll(async () => {
  redis = await TestRedis.start();
});
afterEach(async () => {
  await Promise.all(nodes.splice(0).map((node) => node.close()));
});
afterAll(() => redis.stop());

describe('topics of two nodes', () => {
  it(`agree with their model over ${MOVES} joins and leaves (seed ${SEED})`, async () => {
    const options = { limits: { maxManagersPerUser: 100 } };
    nodes = await Promise.all([0, 1].map(() => LocalNode.start({ url: redis.url }, options)));
    const cluster = new Cluster(nodes);
    const rounds = fc.sample(round, { numRuns: Math.ceil((MOVES / PER_ROUND) * 1.2), seed: SEED });
    for (const { steps, trouble, after, pace } of rounds) {
      for (const [index, next] of steps.entries()) {
        if (index === after) await redis.command(...trouble);
        await cluster.take(next);
        if (index % pace === 0) await new Promise(setImmediate);
      }
      await eventually(() => cluster.agree(), PATIENCE_MS);
    }
    expect(cluster.moves).toBeGreaterThanOrEqual(MOVES);
    await cluster.closeAll();
    await eventually(() => cluster.agree(), PATIENCE_MS);
    await eventually(async () => {
      expect(await redis.command('KEYS', '*{t:*')).toEqual([]);
    }, PATIENCE_MS);
    expect(nodes.map(({ memberships }) => memberships)).toEqual([0, 0]);
  });
});
