import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import fc from 'fast-check';
import {
  InvalidContextError,
  UserExecutionContext,
  WebSocketEmitter,
  type WebSocketIsolationOptions,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { redisCluster } from 'nestjs-websocket-isolation/redis';

import { systemClock } from '../../src/clock/clock.js';
import { identifierFault } from '../../src/context/identifier.js';
import { parseIsolationKey } from '../../src/context/user-execution-context.js';
import { readConnection } from '../../src/dashboard/connection-detail.js';
import { claimedThread } from '../../src/gateway/thread-claim.js';
import { UserRates } from '../../src/gateway/user-rates.js';
import { createEpoch, isOwnPosition } from '../../src/history/position.js';
import type { ThreadKey } from '../../src/history/thread-history.js';
import { IsolationEventBus } from '../../src/journal/event-bus.js';
import { Journal } from '../../src/journal/journal.js';
import { Limits } from '../../src/manager/limits.js';
import { ManagerRegistry } from '../../src/manager/manager-registry.js';
import { Keys, memberOf } from '../../src/redis/keys.js';
import { Resume } from '../../src/resume/resume.service.js';
import { differentIds } from '../support/arbitrary-ids.js';
import { SHORT_LEASE } from '../support/cluster.js';
import { TestRedis } from '../support/redis.js';
import { SEED } from '../support/seed.js';
import { startApp, type TestApp } from '../support/test-app.js';

const TEA = 'tea-7';
const LIMITS: WebSocketIsolationOptions = {
  limits: { maxManagersPerUser: 1 },
  resume: { windowMs: 60_000 },
  cleanup: { emergencyIntervalMs: 600_000 },
};

const contextOf = (userId: string, threadId: string = TEA, connectionId?: string) =>
  UserExecutionContext.fromWebSocketRequest({
    userId,
    threadId,
    ...(connectionId !== undefined && { connectionId }),
  });

/** What a context has in a field, or the class of what making it throws. */
function madeWith(field: 'userId' | 'threadId' | 'runId' | 'connectionId', id: string): unknown {
  try {
    return UserExecutionContext.fromWebSocketRequest({ userId: 'ada', [field]: id })[field];
  } catch (error) {
    return (error as Error).constructor;
  }
}

const isGood = (id: string): boolean => identifierFault(id) === undefined;

async function holds(
  numRuns: number,
  check: (one: string, other: string) => void | Promise<void>,
): Promise<void> {
  const property = fc.asyncProperty(differentIds, async ([one, other]) => check(one, other));
  await fc.assert(property, { seed: SEED, numRuns });
}

describe(`any two different ids (SEED=${SEED})`, () => {
  it('make contexts where both are good, and are refused where they are not well-formed', async () => {
    await holds(2_000, (one, other) => {
      for (const id of [one, other]) {
        expect(isGood(id) && !id.isWellFormed()).toBe(false);
        for (const field of ['userId', 'threadId', 'runId', 'connectionId'] as const) {
          expect(madeWith(field, id)).toBe(isGood(id) ? id : InvalidContextError);
        }
      }
    });
  });

  it('never share an isolation key, as user or as thread', async () => {
    await holds(2_000, (one, other) => {
      const pairs = [one, other].flatMap((user) =>
        [one, other].map((thread) => [user, thread] as const),
      );
      if (!isGood(one) || !isGood(other)) return;
      const keys = pairs.map(([user, thread]) => contextOf(user, thread).isolationKey);
      expect(new Set(keys).size).toBe(4);
      expect(keys.map(parseIsolationKey)).toEqual(
        pairs.map(([userId, threadId]) => ({ userId, threadId })),
      );
    });
  });

  it('never share a name in Redis, good or not', async () => {
    for (const secret of ['', 'pepper']) {
      const keys = new Keys('wsi', secret, 0);
      await holds(2_000, (one, other) => {
        const [here, there] = [keys.ofUser(keys.hashOf(one)), keys.ofUser(keys.hashOf(other))];
        expect(here.leases).not.toBe(there.leases);
        expect(memberOf('a1', one)).not.toBe(memberOf('a1', other));
      });
    }
  });

  it('never own a position of the other, good or not', async () => {
    await holds(2_000, (one, other) => {
      expect(isOwnPosition({ epoch: createEpoch(one), offset: 1 }, one)).toBe(true);
      expect(isOwnPosition({ epoch: createEpoch(one), offset: 1 }, other)).toBe(false);
    });
  });

  it('never claim the thread of the other', async () => {
    await holds(2_000, (one, other) => {
      if (!isGood(one)) return;
      const context = contextOf('ada', one);
      expect(claimedThread({ threadId: other }, context)).not.toBe(one);
      expect(claimedThread({ thread_id: other, threadId: one }, context)).not.toBe(one);
      expect(claimedThread({ threadId: one }, context)).toBe(one);
    });
  });

  it('never share what they may still send', async () => {
    const rates = new UserRates(systemClock);
    const rate = { messages: 1, perMs: 1_000_000, perUser: 1, onExceeded: 'error' as const };
    await holds(500, (one, other) => {
      rates.onApplicationShutdown();
      expect([one, other, one].map((id) => rates.take(id, rate as never, 0))).toEqual([
        true,
        true,
        false,
      ]);
    });
    rates.onApplicationShutdown();
  });

  it('never share a line of the log, alone or in a list', async () => {
    const lines: string[] = [];
    const note = (text: unknown): void => void lines.push(String(text));
    const journal = new Journal(
      { ...systemClock, now: () => performance.now() * 1e6 },
      new IsolationEventBus(),
    );
    Logger.overrideLogger({ log: note, warn: note, error: note, debug: note });
    try {
      await holds(500, (one, other) => {
        lines.length = 0;
        const action = { who: 'op', from: '::1', action: 'disconnect-user', count: 1 };
        for (const target of [one, other]) journal.record('operator-action', { ...action, target });
        const lists = [
          [one, other],
          [`${one},${other}`],
          [other, one],
          [JSON.stringify([one, other])],
        ];
        for (const threadIds of lists) {
          journal.record('thread-inconsistent', { threadIds, sources: ['key'] });
        }
        expect(lines).toHaveLength(6);
        expect(new Set(lines).size).toBe(6);
        expect(lines.join('')).not.toMatch(/\n/);
      });
    } finally {
      Logger.overrideLogger(false);
    }
  });
});

describe.each([['one process'], ['a cluster on Redis']])(`on %s (SEED=${SEED})`, (where) => {
  let redis: TestRedis | undefined;
  let testApp: TestApp;
  let factory: WebSocketManagerFactory;
  let resume: Resume;
  const made: WebSocketManager[] = [];

  beforeAll(async () => {
    if (where !== 'one process') redis = await TestRedis.start();
    const cluster = redis && redisCluster({ ...SHORT_LEASE, leaseMs: 60_000, url: redis.url });
    testApp = await startApp({ options: { ...LIMITS, ...(cluster && { cluster }) } });
    factory = testApp.app.get(WebSocketManagerFactory);
    resume = testApp.app.get(Resume);
  });

  afterAll(async () => {
    await testApp.close();
    await redis?.stop();
  });

  async function make(userId: string, threadId = TEA): Promise<WebSocketManager> {
    const manager = await factory.createManager(contextOf(userId, threadId));
    made.push(manager);
    return manager;
  }

  async function endAll(): Promise<void> {
    await Promise.all(made.splice(0).map((manager) => manager.close()));
  }

  const leasesOf = async (): Promise<number> => (redis ? redis.leases() : made.length);

  async function record(thread: ThreadKey): Promise<void> {
    const event = { body: '{"event":"news","data":1}', isCritical: true };
    await (resume.publishAndReport(thread, event) ?? resume.publish(thread, event));
  }

  const isKnown = async (thread: ThreadKey): Promise<boolean> =>
    (await resume.history.readCritical(thread)).events.length > 0;

  it('two users have slots, statistics, details and disconnects of their own', async () => {
    await holds(redis ? 60 : 300, async (one, other) => {
      const good = [one, other].filter(isGood);
      const managers = [];
      for (const id of good) managers.push(await make(id));
      expect(await leasesOf()).toBe(good.length);
      const { userDistribution } = factory.getStats();
      expect(new Map(Object.entries(userDistribution))).toEqual(new Map(good.map((id) => [id, 1])));
      for (const id of [one, other]) {
        expect(factory.managersOf(id).map(({ context }) => context.userId)).toEqual(
          good.filter((each) => each === id),
        );
      }
      const registry = testApp.app.get(ManagerRegistry);
      const details = managers.map(({ context: { connectionId } }) =>
        readConnection(connectionId, registry, testApp.app.get(Limits), systemClock),
      );
      expect(details).toMatchObject(good.map((userId) => ({ userId, slots: { others: [] } })));
      expect(testApp.app.get(WebSocketEmitter).toUser(one).send('hi')).toMatchObject({
        sent: 0,
      });
      expect(await factory.disconnectUser(one)).toBe(isGood(one) ? 1 : 0);
      expect(factory.managersOf(other)).toHaveLength(isGood(other) ? 1 : 0);
      await endAll();
    });
  }, 120_000);

  it('two threads of a user, and one thread of two users, have histories of their own', async () => {
    await holds(redis ? 60 : 300, async (one, other) => {
      const pairs = [
        [
          { userId: one, threadId: TEA },
          { userId: other, threadId: TEA },
        ],
        [
          { userId: 'ada', threadId: one },
          { userId: 'ada', threadId: other },
        ],
      ] as const;
      for (const [here, there] of pairs) {
        const wasKnown = await isKnown(there);
        await record(here);
        expect(await isKnown(here)).toBe(true);
        // An id that occurred before in this run has its events.
        expect(await isKnown(there)).toBe(wasKnown);
      }
    });
  }, 120_000);

  it('two threads of a user are closed apart', async () => {
    factory.setLimits({ maxManagersPerUser: 2 });
    await holds(redis ? 40 : 200, async (one, other) => {
      const good = [one, other].filter(isGood);
      for (const id of good) await make('ada', id);
      expect(await factory.disconnectThread('ada', one)).toBe(isGood(one) ? 1 : 0);
      expect(factory.managersOfThread('ada', other)).toHaveLength(isGood(other) ? 1 : 0);
      await endAll();
    });
  }, 120_000);
});
