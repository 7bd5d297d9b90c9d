import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import fc from 'fast-check';
import {
  IsolatedGateway,
  IsolationEventBus,
  WebSocketEmitter,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { SHORT_LEASE } from '../support/cluster.js';
import { TestRedis } from '../support/redis.js';
import { startApp, type TestApp } from '../support/test-app.js';

const PATIENCE_MS = 900_000;
const RUNS = 200;

@IsolatedGateway({ path: '/chat' })
class EchoGateway {
  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown): { event: string; data: unknown } {
    return { event: 'echo', data };
  }
}

const emitterOf = (node: TestApp): WebSocketEmitter => node.app.get(WebSocketEmitter);
const factoryOf = (node: TestApp): WebSocketManagerFactory => node.app.get(WebSocketManagerFactory);
const statusOf = (node: TestApp) => factoryOf(node).getStats().currentState.cluster!;
const heard = ({ messages }: TestClient, event: string): unknown[] =>
  messages.filter((message) => message.event === event).map(({ data }) => data);

/** Values that a field may have when another program, or another version, wrote it. */
const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom(1e308, -1, 0.5, 2 ** 53, '4001', '__proto__', '', null, [], {}, true),
);
const target = fc.oneof(
  anything,
  fc.record({ userId: anything, threadId: anything }, { requiredKeys: [] }),
  fc.constant({ userId: 'ada' }),
  fc.record({ connectionId: anything }),
);
const goodbye = fc.oneof(
  anything,
  fc.record(
    // These codes are not allowed in a close frame.
    {
      code: fc.constantFrom('4001', 0, 1005, 1006, 2999, 5000, 4001.5, null, 1e9),
      reason: anything,
    },
    { requiredKeys: [] },
  ),
);
const thread = fc.oneof(
  anything,
  fc.record({ userId: anything, threadId: anything }, { requiredKeys: [] }),
);
const frame = fc.oneof(anything, fc.constantFrom('not a frame', '"text"', '[1]'));
/** The body of an almost valid message: at least one field is wrong. */
const body = fc.oneof(
  anything,
  fc.record({ target, goodbye }, { requiredKeys: [] }),
  fc.record({ target, frame }, { requiredKeys: [] }),
  fc.record(
    { thread, frame, isCritical: anything, onlyFor: anything, position: anything },
    { requiredKeys: [] },
  ),
  fc.record({ hash: anything }),
);
const topics = [
  'deliver',
  'deliver-bytes',
  'disconnect',
  'connections',
  'event',
  'doubt',
  'rescue',
  'renew',
];
const envelope = fc.record(
  {
    from: fc.oneof(anything, fc.constantFrom('a', 'f'.repeat(32))),
    topic: fc.oneof(fc.constantFrom(...topics, 'answer', 'from-the-future'), anything),
    id: fc.oneof(fc.constantFrom('1', undefined), anything),
    body,
  },
  { requiredKeys: [] },
);
const message = fc.oneof(
  { weight: 8, arbitrary: envelope.map((value) => JSON.stringify(value)) },
  { weight: 1, arbitrary: fc.string({ maxLength: 40, unit: 'binary' }) },
  {
    weight: 1,
    arbitrary: envelope.map((value) => JSON.stringify(value).slice(0, -3)),
  },
);

/** A write of another program: it replaces a key, or adds data to it. */
const garbage = fc.string({ minLength: 1, maxLength: 12 });
const writing = fc.record({
  kind: fc.constantFrom('SET', 'LPUSH', 'HSET', 'ZADD', 'XADD', 'DEL'),
  field: fc.oneof(fc.constantFrom('e', 's', 'b', 'c', '__proto__'), garbage),
  value: fc.oneof(garbage, fc.constantFrom('-1', '9e99', 'nan', '"', '{}', '{"nodeId":1}')),
});

function commandFor(key: string, { kind, field, value }: { [key: string]: string }): string[] {
  if (kind === 'DEL') return ['DEL', key];
  if (kind === 'HSET') return ['HSET', key, field!, value!];
  if (kind === 'ZADD') return ['ZADD', key, '9999999999999', value!];
  if (kind === 'XADD') return ['XADD', key, '*', field!, value!];
  return [kind!, key, value!];
}

describe('data of another program in Redis', () => {
  let redis: TestRedis;
  let nodes: [TestApp, TestApp];
  let clients: TestClient[];
  const warnings: string[] = [];

  beforeAll(async () => {
    redis = await TestRedis.start();
    const start = async (): Promise<TestApp> => {
      const cluster = redisCluster({ ...SHORT_LEASE, leaseMs: 6_000, url: redis.url });
      const resume = { windowMs: 60_000 };
      const app = await startApp({ providers: [EchoGateway], options: { cluster, resume } });
      app.app.get(IsolationEventBus).on('cluster-warning', ({ what }) => void warnings.push(what));
      return app;
    };
    nodes = [await start(), await start()];
  });
  afterEach(() => {
    for (const client of clients) client.terminate();
  });
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.close()));
    await redis.stop();
  });

  async function connect(): Promise<void> {
    clients = await Promise.all(
      nodes.map((node) => TestClient.open(node.url('/chat?user=ada&thread=tea'))),
    );
    for (const client of clients) await client.ask('echo', 0);
  }

  /** Checks that all clients are connected, get replies, and get the messages that are sent on the other node. */
  async function allIsWell(mark: unknown): Promise<void> {
    for (const client of clients) {
      client.send('echo', mark);
      await eventually(() => expect(heard(client, 'echo').at(-1)).toEqual(mark), PATIENCE_MS);
    }
    await eventually(async () => {
      const { sent, silent } = await emitterOf(nodes[0]).toUser('ada').sendAsync('news', mark);
      expect({ sent, silent }).toEqual({ sent: 2, silent: [] });
    }, PATIENCE_MS);
    await eventually(async () => {
      const report = await emitterOf(nodes[1]).toThread('ada', 'tea').sendAsync('said', mark);
      expect(report.sent + report.queued).toBe(2);
      for (const client of clients) expect(heard(client, 'said').at(-1)).toEqual(mark);
    }, PATIENCE_MS);
    expect(clients.map(({ closeCode }) => closeCode)).toEqual([undefined, undefined]);
    expect(nodes.map((node) => statusOf(node).state)).toEqual(['up', 'up']);
  }

  it('on the channels of nodes is ignored, counted and logged once, and no connection is closed', async () => {
    await connect();
    warnings.length = 0;
    const before = statusOf(nodes[0]).counters.unreadable;
    await fc.assert(
      fc.asyncProperty(message, async (text) => {
        const { nodeId } = statusOf(nodes[0]);
        expect(await redis.command('PUBLISH', await channelOf(nodeId), text)).toBe(1);
      }),
      { numRuns: RUNS },
    );
    await allIsWell('after the messages');
    expect(statusOf(nodes[0]).counters.unreadable).toBeGreaterThan(before);
    // There is one warning per kind, regardless of the number of messages.
    expect(warnings.length).toBe(new Set(warnings).size);
    const { nodeId } = statusOf(nodes[1]);
    expect(await factoryOf(nodes[0]).connectionsOf('ada')).toHaveLength(2);
    expect(nodeId).toMatch(/^[0-9a-f]{32}$/);
  });

  it.each([
    ['a code that is a string', { goodbye: { code: '4001', reason: '' } }],
    ['a code that is not allowed', { goodbye: { code: 1006, reason: '' } }],
    ['no code', { goodbye: { reason: 'gone' } }],
    ['a reason that is not a string', { goodbye: { code: 4001, reason: { a: 1 } } }],
    ['a topic that is not a string', { topic: ['tea'] }],
    ['a topic that cannot exist', { topic: 'a\nb' }],
    ['neither a code nor a topic', {}],
    ['both a code and a topic', { goodbye: { code: 4001, reason: '' }, topic: 'tea' }],
  ])('does not disconnect a user, or take it out of a topic, with %s', async (_what, wrong) => {
    await connect();
    const [ada] = factoryOf(nodes[0]).managersOf('ada');
    await ada!.join('tea');
    const { nodeId } = statusOf(nodes[0]);
    const order = {
      from: 'b',
      topic: 'disconnect',
      body: { target: { userId: 'ada' }, ...wrong },
    };
    const { unreadable } = statusOf(nodes[0]).counters;
    await redis.command('PUBLISH', await channelOf(nodeId), JSON.stringify(order));
    await eventually(() => expect(statusOf(nodes[0]).counters.unreadable).toBe(unreadable + 1));
    await allIsWell('after the order');
    expect(
      factoryOf(nodes[0])
        .managersOf('ada')
        .map(({ state }) => state),
    ).toEqual(['ready']);
    expect([...ada!.topics]).toEqual(['tea']);
  });

  it('as the reply of a node is ignored: the node counts as silent', async () => {
    await connect();
    const spy = await redis.subscriber();
    const asked = new Promise<{ id: string; from: string }>((resolve) => {
      void channelOf('e'.repeat(32)).then((channel) =>
        spy.subscribe(channel, (text) => resolve(JSON.parse(text) as { id: string; from: string })),
      );
    });
    const [key] = (await redis.command('KEYS', '*:leases')) as [string];
    await redis.command('ZADD', key, '9999999999999', `${'e'.repeat(32)}:conn_x`);
    await eventually(async () =>
      expect(await redis.command('PUBSUB', 'NUMSUB', await channelOf('e'.repeat(32)))).toContain(1),
    );
    const report = emitterOf(nodes[0]).toUser('ada').sendAsync('news', 'who is there?');
    const { id, from } = await asked;
    const answer = { from: 'e'.repeat(32), topic: 'answer', id, body: { sent: '1', queued: null } };
    await redis.command('PUBLISH', await channelOf(from), JSON.stringify(answer));
    expect(await report).toMatchObject({ sent: 2, silent: ['e'.repeat(32)] });
    await redis.command('ZREM', key, `${'e'.repeat(32)}:conn_x`);
    spy.destroy();
  });

  it('in keys stops no node: nodes repair what they can, and the rest affects one user only', async () => {
    await connect();
    await allIsWell('before');
    await fc.assert(
      fc.asyncProperty(fc.nat(), writing, async (place, write) => {
        const keys = ((await redis.command('KEYS', '*')) as string[]).toSorted();
        const key = keys[place % Math.max(1, keys.length)] ?? 'wsi:none';
        await redis.command(...commandFor(key, write)).catch(() => 'the key is of another kind');
        for (const client of clients) expect(client.closeCode).toBeUndefined();
        emitterOf(nodes[0]).toThread('ada', 'tea').send('said', 'meanwhile');
      }),
      { numRuns: RUNS, timeout: 800_000 },
    );
    // Only overwritten lease keys do not heal: delete them by hand.
    for (const key of (await redis.command('KEYS', '*:leases')) as string[]) {
      if ((await redis.command('TYPE', key)) !== 'zset') await redis.command('DEL', key);
      else await redis.command('ZREMRANGEBYSCORE', key, '9999999999999', '+inf');
    }
    await allIsWell('after everything');
    const fresh = await TestClient.open(nodes[0].url('/chat?user=ada&thread=tea'));
    expect(await fresh.next(undefined, PATIENCE_MS)).toMatchObject({ event: 'resume' });
    fresh.terminate();
  });

  /** Resolves with the channel of a node, without knowing the key prefix. */
  async function channelOf(nodeId: string): Promise<string> {
    const channels = (await redis.command('PUBSUB', 'CHANNELS', '*')) as string[];
    const own = channels.find((channel) => channel.endsWith(statusOf(nodes[0]).nodeId))!;
    return own.replace(statusOf(nodes[0]).nodeId, nodeId);
  }
});
