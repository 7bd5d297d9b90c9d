import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  IsolatedGateway,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManagerFactory,
  type WebSocketIsolationOptions,
} from 'nestjs-websocket-isolation';
import { redisCluster, type RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import { createClient } from 'redis';

import { TestRedis } from '../support/redis.js';
import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  constructor(
    private readonly context: UserExecutionContext,
    private readonly emitter: WebSocketEmitter,
  ) {}

  @SubscribeMessage('burst')
  burst(@MessageBody() count: number): void {
    const { userId } = this.context;
    for (let index = 0; index < count; index += 1) this.emitter.toUser(userId).send('n', index);
  }
}

/** At a tenth of the time of a process, its replies take longer than the 5 s in which Redis has to answer a ping. */
const LONG_BURST = 2_500;
/** Long times, for busy machines: late commands are dropped, and nodes without leases get no messages. */
const PATIENT = { acquireTimeoutMs: 60_000, commandTimeoutMs: 60_000, leaseMs: 60_000 };

function heard({ messages }: TestClient, event = 'news'): unknown[] {
  return messages.filter((message) => message.event === event).map(({ data }) => data);
}

const emitterOf = (node: TestApp): WebSocketEmitter => node.app.get(WebSocketEmitter);
const factoryOf = (node: TestApp): WebSocketManagerFactory => node.app.get(WebSocketManagerFactory);
const nodeIdOf = (node: TestApp): string => factoryOf(node).getStats().currentState.cluster!.nodeId;

function open(node: TestApp, user: string, thread = 'tea'): Promise<TestClient> {
  return TestClient.open(node.url(`/chat?user=${user}&thread=${thread}`));
}

function say(node: TestApp, data: unknown): void {
  emitterOf(node).toThread('ada', 'tea').send('news', data);
}

/** Reconnects with a position. */
function back(
  node: TestApp,
  position: string,
  { user = 'ada', thread = 'tea' } = {},
): Promise<TestClient> {
  return TestClient.open(node.url(`/chat?user=${user}&thread=${thread}&resume=${position}`));
}

/** The latest position that a client has seen. */
function positionOf({ messages }: TestClient): string {
  const positions = messages.flatMap(
    (message) => (message as unknown as { position?: string }).position ?? [],
  );
  return positions.at(-1)!;
}

describe('delivery in a cluster', () => {
  let redis: TestRedis;
  let apps: TestApp[] = [];
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());
  afterEach(async () => {
    await Promise.all(apps.map((app) => app.close()));
    apps = [];
    await redis.command('FLUSHALL');
  });

  async function nodes(
    count: number,
    options: WebSocketIsolationOptions = {},
    settings: RedisClusterOptions = PATIENT,
  ): Promise<TestApp[]> {
    for (let index = 0; index < count; index += 1) {
      const cluster = redisCluster({ url: redis.url, renewMs: 500, leaseMs: 5_000, ...settings });
      apps.push(await startApp({ providers: [ChatGateway], options: { cluster, ...options } }));
    }
    return apps;
  }
  it('reaches a user, a thread and a connection on every node', async () => {
    const [a, b, c] = (await nodes(3)) as [TestApp, TestApp, TestApp];
    const [onA, onB, coffee] = [
      await open(a, 'ada'),
      await open(b, 'ada'),
      await open(b, 'ada', 'coffee'),
    ];
    const other = await open(c, 'bob');
    // Right after the handshake, without time for nodes to exchange information.
    expect(emitterOf(a).toUser('ada').send('news', 'user')).toEqual({
      sent: 1,
      queued: 0,
      dropped: 0,
    });
    expect(emitterOf(c).toThread('ada', 'tea').send('news', 'thread')).toEqual({
      sent: 0,
      queued: 0,
      dropped: 0,
    });
    const info = (await factoryOf(c).connectionsOf('ada')).find(
      ({ threadId }) => threadId === 'coffee',
    );
    expect(info).toMatchObject({ nodeId: nodeIdOf(b), userId: 'ada', state: 'ready' });
    const report = await emitterOf(a).toConnection(info!.connectionId).sendAsync('news', 'one');
    expect(report).toMatchObject({ sent: 1, nodes: { [nodeIdOf(b)]: { sent: 1 } } });
    await eventually(() => {
      // Two nodes have sent these messages, so their order is not defined.
      for (const client of [onA, onB]) {
        expect(new Set(heard(client))).toEqual(new Set(['user', 'thread']));
        expect(heard(client)).toHaveLength(2);
      }
      expect(heard(coffee)).toEqual(['user', 'one']);
    });
    expect(heard(other)).toEqual([]);
  });

  it('reports by node, and contacts only nodes that hold the user', async () => {
    const [a, b, c] = (await nodes(3)) as [TestApp, TestApp, TestApp];
    await open(a, 'ada');
    await open(b, 'ada');
    await open(b, 'ada');
    // The messages that node C gets, except those it sends to itself.
    const overheard: string[] = [];
    const spy = await createClient({ url: redis.url }).connect();
    await spy.subscribe(`wsi:node@0:${nodeIdOf(c)}`, (text) => {
      const { topic } = JSON.parse(text) as { topic: string };
      if (topic !== 'echo') overheard.push(topic);
    });
    const report = await emitterOf(a).toUser('ada').sendAsync('news', 1);
    expect(report).toEqual({
      sent: 3,
      queued: 0,
      dropped: 0,
      nodes: {
        [nodeIdOf(a)]: { sent: 1, queued: 0, dropped: 0 },
        [nodeIdOf(b)]: { sent: 2, queued: 0, dropped: 0 },
      },
      silent: [],
    });
    emitterOf(a).toUser('ada').send('news', 2);
    await factoryOf(a).connectionsOf('ada');
    expect(overheard).toEqual([]);
    await open(c, 'ada');
    await emitterOf(a).toUser('ada').sendAsync('news', 3);
    await eventually(() => expect(overheard).toEqual(['deliver']));
    spy.destroy();
    const nobody = await emitterOf(c).toUser('nobody').sendAsync('news', 1);
    expect(nobody).toMatchObject({ sent: 0, silent: [] });
  });

  it('applies the policy of a message on the node that holds the reader', async () => {
    const [a, b] = (await nodes(2)) as [TestApp, TestApp];
    const client = await open(b, 'ada');
    const [manager] = factoryOf(b).managersOf('ada');
    const thaw = client.freeze();
    while (manager!.bufferedBytes <= 65_536) manager!.send('filler', 'x'.repeat(65_536));
    const toAda = emitterOf(a).toUser('ada');
    const totals = async (data: number, policy: 'drop' | 'latest'): Promise<unknown> => {
      const { nodes: _nodes, ...total } = await toAda.sendAsync('news', data, { policy });
      return total;
    };
    const none = { sent: 0, queued: 0, dropped: 0, silent: [] };
    expect(await totals(1, 'drop')).toEqual({ ...none, dropped: 1 });
    expect(await totals(2, 'latest')).toEqual({ ...none, queued: 1 });
    expect(await totals(3, 'latest')).toEqual({ ...none, queued: 1, replaced: 1 });
    toAda.send('news', 4, { policy: 'latest' });
    toAda.send('news', 5, { policy: 'drop' });
    emitterOf(a).toUser('ada').send('end');
    await eventually(() => expect(manager!.latestWaiting).toBe(1));
    thaw();
    await client.next('end');
    await eventually(() => expect(heard(client)).toEqual([4]));
  });

  it('sends bytes to the connections of every node, with a policy', async () => {
    const [a, b] = (await nodes(2)) as [TestApp, TestApp];
    const clients = [await open(a, 'ada'), await open(b, 'ada'), await open(b, 'bob')];
    await factoryOf(b).managersOf('bob')[0]!.join('room:7');
    const every = Buffer.from(Array.from({ length: 256 }, (_, index) => index));
    const emitter = emitterOf(a);
    expect(emitter.toUser('ada').sendBinary(every)).toEqual({ sent: 1, queued: 0, dropped: 0 });
    const none = { sent: 0, queued: 0, dropped: 0 };
    expect(emitter.toThread('bob', 'tea').sendBinary(every, { policy: 'drop' })).toEqual(none);
    // A node learns of the members of other nodes a moment later.
    await eventually(async () => {
      const { nodes: reached } = await emitter.toTopic('room:7').sendAsync('ready');
      expect(reached[nodeIdOf(b)]?.sent).toBe(1);
    });
    emitter.toTopic('room:7').sendBinary(new Uint8Array([7]));
    emitter.toConnection(factoryOf(b).managersOf('bob')[0]!.context.connectionId).sendBinary(every);
    emitter.toAll().except({ userId: 'ada' }).sendBinary(new ArrayBuffer(0));
    const [seven, empty] = [Buffer.from([7]), Buffer.alloc(0)];
    await eventually(() => {
      expect(clients.map((client) => heard(client, ''))).toEqual([
        [every],
        [every],
        [every, seven, every, empty],
      ]);
    });
  });

  it('keeps the order of one sender', async () => {
    const [a, b] = (await nodes(2)) as [TestApp, TestApp];
    const sender = await open(a, 'ada');
    const receivers = [await open(b, 'ada'), await open(b, 'ada', 'coffee')];
    sender.send('burst', 2_000);
    const all = Array.from({ length: 2_000 }, (_, index) => index);
    await eventually(() => {
      for (const receiver of [sender, ...receivers]) expect(heard(receiver, 'n')).toEqual(all);
    });
  });

  it('loses no message of a burst when the process is then busy beyond the Redis client’s timeout', async () => {
    const [a, b] = (await nodes(2, {}, PATIENT)) as [TestApp, TestApp];
    const onB = await open(b, 'ada');
    const all = Array.from({ length: 2_000 }, (_, index) => index);
    for (const index of all) emitterOf(a).toUser('ada').send('n', index);
    // Most messages are still to be written. By default, the `redis` package waits 5 s for a command.
    const until = performance.now() + 5_500;
    while (performance.now() < until);
    await eventually(() => expect(heard(onB, 'n')).toEqual(all));
  });

  it('loses no message of a burst whose replies take longer than a ping may wait', async () => {
    const [a, b] = (await nodes(2, {}, PATIENT)) as [TestApp, TestApp];
    const onB = await open(b, 'ada');
    const all = Array.from({ length: LONG_BURST }, (_, index) => index);
    // The process gets a tenth of its time, so the pings of its lines wait behind the burst.
    const hog = setInterval(() => {
      const until = performance.now() + 90;
      while (performance.now() < until);
    }, 10);
    try {
      for (const index of all) emitterOf(a).toUser('ada').send('n', index);
      await eventually(() => expect(heard(onB, 'n').length).toBe(LONG_BURST));
      expect(heard(onB, 'n')).toEqual(all);
    } finally {
      clearInterval(hog);
    }
  });

  it('ends a user’s connections on every node, and returns their number', async () => {
    const [a, b] = (await nodes(2)) as [TestApp, TestApp];
    const tea = [await open(a, 'ada'), await open(b, 'ada')];
    const coffee = await open(b, 'ada', 'coffee');
    const bob = await open(b, 'bob');
    expect(await factoryOf(a).disconnectThread('ada', 'tea', { code: 4401 })).toBe(2);
    for (const client of tea) expect(await client.closed()).toBe(4401);
    expect(coffee.closeCode).toBeUndefined();
    expect(await factoryOf(a).disconnectUser('ada', { code: 4403, reason: 'banned' })).toBe(1);
    expect(await coffee.closed()).toBe(4403);
    expect(coffee.closeReason).toBe('banned');
    expect(bob.closeCode).toBeUndefined();
    expect(await factoryOf(a).connectionsOf('ada')).toEqual([]);
  });

  it('delivers locally without waiting when Redis is unreachable', async () => {
    const [a, b] = (await nodes(2, {}, { heartbeatMs: 200 })) as [TestApp, TestApp];
    const [onA, onB] = [await open(a, 'ada'), await open(b, 'ada')];
    await eventually(() =>
      expect(factoryOf(a).getStats().currentState.cluster!.nodes).toHaveLength(2),
    );
    redis.freeze();
    try {
      expect(emitterOf(a).toUser('ada').send('news', 1).sent).toBe(1);
      await eventually(() => expect(heard(onA)).toEqual([1]));
      const report = await emitterOf(a).toUser('ada').sendAsync('news', 2);
      expect(report).toMatchObject({ sent: 1, nodes: { [nodeIdOf(a)]: { sent: 1 } } });
      // Node B may hold the user. That is unknown, so the report lists B as silent.
      expect(report.silent).toEqual([nodeIdOf(b)]);
    } finally {
      redis.thaw();
    }
    await eventually(() => expect(heard(onB)).toEqual([1, 2]));
  });

  describe('with resume', () => {
    const resume = { windowMs: 60_000, maxEvents: 100, maxBytes: 500_000 };
    it('replays what a client has missed on another node', async () => {
      const [a, b] = (await nodes(2, { resume })) as [TestApp, TestApp];
      const onA = await open(a, 'ada');
      await onA.next();
      say(a, 1);
      await eventually(() => expect(heard(onA)).toEqual([1]));
      say(b, 2);
      await eventually(() => expect(heard(onA)).toEqual([1, 2]));
      onA.terminate();
      await onA.closed();
      say(a, 3);
      await eventually(async () => expect(await factoryOf(b).connectionsOf('ada')).toEqual([]));
      say(b, 4);
      const onB = await back(b, positionOf(onA));
      await eventually(() => expect(heard(onB)).toEqual([3, 4]));
      expect(onB.messages[0]).toMatchObject({ event: 'resume', data: { status: 'recovered' } });
      say(a, 5);
      await eventually(() => expect(heard(onB)).toEqual([3, 4, 5]));
    });

    it('reports the number of receivers on every node', async () => {
      const [a, b] = (await nodes(2, { resume })) as [TestApp, TestApp];
      await (await open(a, 'ada')).next();
      await (await open(b, 'ada')).next();
      const report = await emitterOf(a).toThread('ada', 'tea').sendAsync('news', 1);
      expect(report).toMatchObject({ dropped: 0, silent: [] });
      // A client that has just connected may still be reading the history. Then the event is queued behind it.
      expect(report.sent + report.queued).toBe(2);
      const byNode = Object.entries(report.nodes).map(
        ([node, { sent, queued }]) => [node, sent + queued] as const,
      );
      expect(new Map(byNode)).toEqual(
        new Map([
          [nodeIdOf(a), 1],
          [nodeIdOf(b), 1],
        ]),
      );
    });

    it('reports a gap that cannot be filled', async () => {
      const [a, b] = (await nodes(2, { resume })) as [TestApp, TestApp];
      const client = await open(a, 'ada');
      await client.next();
      const start = positionOf(client);
      for (let index = 0; index < 150; index += 1) {
        emitterOf(a).toThread('ada', 'tea').send('news', index);
      }
      await eventually(() => expect(heard(client)).toHaveLength(150));
      const second = await back(b, start);
      await eventually(() => expect(heard(second)).toHaveLength(100));
      expect(second.messages[0]).toMatchObject({ data: { status: 'gap' } });
      expect(heard(second)[0]).toBe(50);
      expect(Number(await redis.command('XLEN', await streamKey(redis)))).toBe(100);
    });

    it('keeps critical events while the user has no connection', async () => {
      const [a, b] = (await nodes(2, { resume })) as [TestApp, TestApp];
      emitterOf(a).toThread('ada', 'tea').send('news', 'no connection yet');
      emitterOf(a).toThread('ada', 'tea').sendCritical('news', 'paid');
      await eventually(async () =>
        expect(await redis.command('KEYS', '*thread:*')).toHaveLength(1),
      );
      const client = await open(b, 'ada');
      await eventually(() => expect(heard(client)).toEqual(['paid']));
    });

    it('gives no client the events of another user', async () => {
      const [a, b] = (await nodes(2, { resume })) as [TestApp, TestApp];
      const ada = await open(a, 'ada');
      await ada.next();
      await emitterOf(a).toThread('ada', 'tea').sendAsync('news', 'private');
      const start = positionOf(ada).replace(/\d+$/, '0');
      await expect(back(b, start, { user: 'eve' })).rejects.toMatchObject({ status: 403 });
      const other = await back(b, start, { thread: 'coffee' });
      expect(await other.next()).toMatchObject({ data: { status: 'gap' } });
      expect(heard(other)).toEqual([]);
    });

    it('loses and duplicates nothing while connections to Redis break', async () => {
      const [a, b] = (await nodes(2, { resume: { ...resume, maxEvents: 1_000 } })) as [
        TestApp,
        TestApp,
      ];
      const client = await open(b, 'ada');
      await client.next();
      const thread = emitterOf(a).toThread('ada', 'tea');
      for (let index = 0; index < 300; index += 1) {
        thread.send('news', index);
        if (index === 100) await redis.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
        if (index === 150) await redis.command('CLIENT', 'KILL', 'TYPE', 'pubsub');
        if (index === 200) await redis.command('SCRIPT', 'FLUSH');
        if (index % 10 === 0) await new Promise(setImmediate);
      }
      const all = Array.from({ length: 300 }, (_, index) => index);
      await eventually(() => expect(heard(client)).toEqual(all));
      expect(client.messages.filter(({ event }) => event === 'resume')).toHaveLength(1);
    });

    it('begins a new thread history, and reports a gap, when another program has overwritten it', async () => {
      const [a] = (await nodes(1, { resume })) as [TestApp];
      const client = await open(a, 'ada');
      await client.next();
      say(a, 1);
      await eventually(() => expect(heard(client)).toEqual([1]));
      await redis.command('SET', await streamKey(redis), 'data of another program');
      say(a, 2);
      say(a, 3);
      await eventually(() => expect(client.messages.at(-1)).toMatchObject({ event: 'resume' }));
      expect(client.messages.at(-1)).toMatchObject({ data: { status: 'gap' } });
      say(a, 4);
      await eventually(() => expect(heard(client).at(-1)).toBe(4));
    });

    it('delivers all events that were sent before the shutdown', async () => {
      const [a, b] = (await nodes(2, { resume })) as [TestApp, TestApp];
      const client = await open(b, 'ada');
      await client.next();
      for (let index = 0; index < 200; index += 1) say(a, index);
      await a.close();
      apps = [b];
      await eventually(() => expect(heard(client)).toHaveLength(200));
    });

    it('reports a gap to every client when Redis has lost its data', async () => {
      const [a, b] = (await nodes(2, { resume })) as [TestApp, TestApp];
      const client = await open(a, 'ada');
      await client.next();
      await emitterOf(b).toThread('ada', 'tea').sendAsync('news', 1);
      const start = positionOf(client);
      await redis.command('FLUSHALL');
      const second = await back(b, start);
      expect(await second.next()).toMatchObject({ data: { status: 'gap' } });
      await emitterOf(b).toThread('ada', 'tea').sendAsync('news', 2);
      await eventually(() => expect(heard(second)).toEqual([2]));
      // The renewal restores the lease of the first client. The client then gets the missed events, after a gap notice.
      await eventually(() => expect(heard(client)).toEqual([1, 2]));
      expect(client.messages.findLast(({ event }) => event === 'resume')).toMatchObject({
        data: { status: 'gap' },
      });
    });
  });
});

async function streamKey(redis: TestRedis): Promise<string> {
  const [key] = (await redis.command('KEYS', '*events:*')) as string[];
  return key!;
}
