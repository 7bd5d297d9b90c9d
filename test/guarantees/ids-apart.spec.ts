import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Logger } from '@nestjs/common';
import fc from 'fast-check';
import {
  type Audience,
  InvalidContextError,
  UserExecutionContext,
  WebSocketEmitter,
  type WebSocketIsolationOptions,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import { eventually } from 'nestjs-websocket-isolation/testing';

import { systemClock } from '../../src/time/clock.js';
import { identifierFault } from '../../src/context/identifier.js';
import { parseIsolationKey } from '../../src/context/isolation-key.js';
import { claimedThread } from '../../src/connection/thread-claim.js';
import { UserRates } from '../../src/connection/user-rates.js';
import { createEpoch, isOwnPosition } from '../../src/history/position.js';
import { PositionSeal } from '../../src/history/position-seal.js';
import type { ThreadKey } from '../../src/history/history-key.js';
import { IsolationEventBus } from '../../src/journal/event-bus.js';
import { Journal } from '../../src/journal/journal.js';
import { Keys, memberOf } from '../../src/redis/keys.js';
import { Resume } from '../../src/resume/resume.service.js';
import { differentIds } from '../support/arbitrary-ids.js';
import { SHORT_LEASE } from '../support/cluster.js';
import { FakeSocket } from '../support/fleet.js';
import { TestRedis } from '../support/redis.js';
import { SEED } from '../support/seed.js';
import { startApp, type TestApp } from '../support/test-app.js';

const TEA = 'tea-7';
const LIMITS: WebSocketIsolationOptions = {
  limits: { maxManagersPerUser: 1 },
  resume: { windowMs: 60_000 },
  cleanup: { emergencyIntervalMs: 600_000 },
};

const contextOf = (userId: string, threadId: string = TEA) =>
  UserExecutionContext.fromWebSocketRequest({ userId, threadId });

type IdField = 'userId' | 'threadId' | 'connectionId';

/** The operations by an id, which names a user, a thread of ada, or a connection of ada. */
interface Plane {
  readonly field: IdField;
  readonly audience: (emitter: WebSocketEmitter, id: string) => Audience;
  readonly here: (factory: WebSocketManagerFactory, id: string) => readonly WebSocketManager[];
  readonly end: (factory: WebSocketManagerFactory, id: string) => Promise<number>;
}

const PLANES: readonly Plane[] = [
  {
    field: 'userId',
    audience: (emitter, id) => emitter.toUser(id),
    here: (factory, id) => factory.managersOf(id),
    end: (factory, id) => factory.disconnectUser(id),
  },
  {
    field: 'threadId',
    audience: (emitter, id) => emitter.toThread('ada', id),
    here: (factory, id) => factory.managersOfThread('ada', id),
    end: (factory, id) => factory.disconnectThread('ada', id),
  },
  {
    field: 'connectionId',
    audience: (emitter, id) => emitter.toConnection(id),
    here: (factory, id) => [factory.getManager(id) ?? []].flat(),
    end: async (factory, id) => (await factory.disconnect({ connectionId: id })).disconnected,
  },
];

/** Runs `act`. For an id that is not well-formed, a TypeError is allowed too: it reaches no connection either. */
async function unlessRefused<T>(id: string, act: () => T | Promise<T>, nothing: T): Promise<T> {
  if (id.isWellFormed()) return act();
  try {
    return await act();
  } catch (error) {
    if (error instanceof TypeError) return nothing;
    throw error;
  }
}

/** Returns the field of a new context, or the class of the error that its creation throws. */
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
  it('are accepted in contexts if valid, and refused if not well-formed', async () => {
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

  it('never share a key or member in Redis, valid or not', async () => {
    for (const secret of ['', 'pepper']) {
      const keys = new Keys('wsi', secret, 0);
      await holds(2_000, (one, other) => {
        const [here, there] = [keys.ofUser(keys.hashOf(one)), keys.ofUser(keys.hashOf(other))];
        expect(here.leases).not.toBe(there.leases);
        if (!isGood(one) || !isGood(other)) return;
        // Compared as bytes, because Redis stores bytes.
        const members = [one, other].map((id) => Buffer.from(memberOf('a1', id), 'utf8'));
        expect(members[0]!.equals(members[1]!)).toBe(false);
      });
    }
  });

  it('never own a position of the other, valid or not', async () => {
    const seal = new PositionSeal();
    await holds(2_000, (one, other) => {
      expect(isOwnPosition({ epoch: createEpoch(one, seal), offset: 1 }, one)).toBe(true);
      expect(isOwnPosition({ epoch: createEpoch(one, seal), offset: 1 }, other)).toBe(false);
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

  it('never share a rate limit', async () => {
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

  it('never produce the same log line, alone or in a list', async () => {
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
  /** The node that holds the connections. */
  let node: TestApp;
  /** The node that sends. In a cluster it is another node. */
  let sender: TestApp;
  let factory: WebSocketManagerFactory;
  let resume: Resume;
  const made: WebSocketManager[] = [];

  async function start(): Promise<TestApp> {
    const cluster = redis && redisCluster({ ...SHORT_LEASE, leaseMs: 60_000, url: redis.url });
    return startApp({
      imports: [WebSocketIsolationDashboardModule.forRoot({ guard: () => true })],
      options: { ...LIMITS, ...(cluster && { cluster }) },
    });
  }

  beforeAll(async () => {
    if (where !== 'one process') redis = await TestRedis.start();
    node = await start();
    sender = redis ? await start() : node;
    factory = node.app.get(WebSocketManagerFactory);
    resume = node.app.get(Resume);
  });

  afterAll(async () => {
    if (sender !== node) await sender.close();
    await node.close();
    await redis?.stop();
  });

  async function make(
    ids: { userId: string; threadId?: string; connectionId?: string },
    socket?: FakeSocket,
  ): Promise<WebSocketManager> {
    const context = UserExecutionContext.fromWebSocketRequest({ threadId: TEA, ...ids });
    const manager = await factory.createManager(context, { ...(socket && { socket }) });
    made.push(manager);
    return manager;
  }

  async function endAll(): Promise<void> {
    await Promise.all(made.splice(0).map((manager) => manager.close()));
  }

  /** Like {@link holds}, but ends the connections after each pair, even a failing one, which fast-check shrinks. */
  function holdsHere(
    numRuns: number,
    check: (one: string, other: string) => Promise<void>,
  ): Promise<void> {
    return holds(numRuns, async (one, other) => {
      try {
        await check(one, other);
      } finally {
        await endAll();
      }
    });
  }

  const leasesOf = async (): Promise<number> => (redis ? redis.leases() : made.length);

  async function record(thread: ThreadKey): Promise<void> {
    const event = { body: '{"event":"news","data":1}', isCritical: true };
    await (resume.publishAndReport(thread, event) ?? resume.publish(thread, event));
  }

  const isKnown = async (thread: ThreadKey): Promise<boolean> =>
    (await resume.history.readCritical(thread)).events.length > 0;

  /** Resolves with the dashboard's details of a connection, from the node that holds the connections. */
  async function detailOf(...ids: readonly string[]): Promise<unknown> {
    const query = ids.map((id) => `&id=${encodeURIComponent(id)}`).join('');
    const base = `http://127.0.0.1:${node.port}/dashboard/connection`;
    const answer = await fetch(`${base}?viewer=one-of-them${query}`);
    return ((await answer.json()) as { connection: unknown }).connection;
  }

  it('two users have separate slots and statistics', async () => {
    factory.setLimits({ maxManagersPerUser: 1 });
    await holdsHere(redis ? 60 : 300, async (one, other) => {
      const good = [one, other].filter(isGood);
      for (const userId of good) await make({ userId });
      await eventually(async () => expect(await leasesOf()).toBe(good.length));
      const { userDistribution } = factory.getStats();
      expect(new Map(Object.entries(userDistribution))).toEqual(new Map(good.map((id) => [id, 1])));
    });
  });

  it('two threads of a user, and the same thread of two users, have separate histories', async () => {
    await holdsHere(redis ? 60 : 300, async (one, other) => {
      const pairs = [
        [
          { userId: one, threadId: TEA },
          { userId: other, threadId: TEA },
        ],
        [
          { userId: 'ada', threadId: one },
          { userId: 'ada', threadId: other },
        ],
        // Joined without escaping, both would be the same text.
        [
          { userId: one, threadId: `${other}:${TEA}` },
          { userId: `${one}:${other}`, threadId: TEA },
        ],
      ] as const;
      for (const [here, there] of pairs) {
        const wasKnown = await isKnown(there);
        await record(here);
        expect(await isKnown(here)).toBe(true);
        // An id that has occurred before in this run has events already.
        expect(await isKnown(there)).toBe(wasKnown);
      }
    });
  });

  describe.each(PLANES)('as $field', ({ field, audience, here, end }) => {
    // A high limit, so that slots that are about to be released in Redis refuse no connection.
    beforeAll(() => factory.setLimits({ maxManagersPerUser: 20 }));

    async function connect(id: string): Promise<[string, FakeSocket]> {
      const socket = new FakeSocket();
      await make({ userId: 'ada', [field]: id }, socket);
      return [id, socket];
    }

    it('get only their own messages', async () => {
      const emitter = sender.app.get(WebSocketEmitter);
      const say = (id: string, event: string): Promise<unknown> =>
        unlessRefused(id, () => audience(emitter, id).sendAsync(event), undefined);
      await holdsHere(redis ? 40 : 200, async (one, other) => {
        const open: [string, FakeSocket][] = [];
        for (const id of [one, other].filter(isGood)) open.push(await connect(id));
        await say(one, 'to-one');
        await say(other, 'to-other');
        for (const [id] of open) await say(id, 'last');
        const heard = (): unknown[] => open.map(([id, { sent }]) => [id, sent.map(eventOf)]);
        const meant = open.map(([id]) => [id, [id === one ? 'to-one' : 'to-other', 'last']]);
        await eventually(() => expect(heard()).toEqual(meant));
      });
    });

    it('are found and closed separately', async () => {
      await holdsHere(redis ? 40 : 200, async (one, other) => {
        for (const id of [one, other].filter(isGood)) await connect(id);
        for (const id of [one, other]) {
          const found = here(factory, id).map(({ context }) => context[field]);
          expect(found).toEqual(isGood(id) ? [id] : []);
        }
        const closed = await unlessRefused(one, () => end(factory, one), 0);
        expect(closed).toBe(isGood(one) ? 1 : 0);
        expect(here(factory, other)).toHaveLength(isGood(other) ? 1 : 0);
      });
    });
  });

  it('two connections have separate details in the dashboard', async () => {
    await holdsHere(40, async (one, other) => {
      const good = [one, other].filter(isGood);
      for (const connectionId of good) await make({ userId: 'ada', connectionId });
      for (const id of good) {
        const others = good.filter((each) => each !== id);
        expect(await detailOf(id)).toMatchObject({ connectionId: id, slots: { others } });
        expect(await detailOf(id, ...others, id)).toBeNull();
      }
    });
  });
});

function eventOf(frame: string): unknown {
  return (JSON.parse(frame) as { event: unknown }).event;
}
