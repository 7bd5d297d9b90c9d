import { afterEach, describe, expect, it } from '@jest/globals';
import { WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import { eventually, FakeClock, TestClient } from 'nestjs-websocket-isolation/testing';

import { ClusterNode } from '../support/cluster.js';
import { LiveGateway } from '../support/live-gateway.js';
import { TestRedis } from '../support/redis.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { startApp, type TestApp, type TestAppSetup } from '../support/test-app.js';

interface Line {
  readonly name: string;
  readonly times: number;
  readonly details: Readonly<Record<string, unknown>>;
}

interface State {
  readonly access: { readonly token: string };
  readonly incidents: readonly { kind: string; since: number; count?: number; what?: string }[];
  readonly events: { readonly latest: number; readonly items: readonly Line[] };
  readonly users: { readonly top: readonly unknown[] };
  readonly cleanups: { readonly buckets: readonly { runs: number; kind: string }[] };
  readonly cluster: {
    readonly state: string;
    readonly since: number;
    readonly nodes: readonly { readonly name: string; readonly load?: { memoryBytes: number } }[];
  };
}

let running: TestApp[] = [];
afterEach(async () => {
  await Promise.all(running.map((app) => app.close()));
  running = [];
});

async function start(options: TestAppSetup['options'] = {}): Promise<TestApp> {
  const app = await startApp({
    imports: [WebSocketIsolationDashboardModule.forRoot({ guard: () => true, canAct: () => true })],
    providers: [LiveGateway],
    options,
  });
  running.push(app);
  return app;
}

async function look({ port }: TestApp, after = 0): Promise<State> {
  const query = `viewer=aaaa-bbbb-cccc&after=${after}`;
  const response = await fetch(`http://127.0.0.1:${port}/dashboard/state?${query}`);
  return (await response.json()) as State;
}

async function act(app: TestApp, body: object): Promise<Record<string, unknown>> {
  const { access } = await look(app);
  const origin = `http://127.0.0.1:${app.port}`;
  // An operator has five actions in a second.
  let response: Response | undefined;
  await eventually(async () => {
    response = await fetch(`${origin}/dashboard/actions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin, 'x-dashboard-token': access.token },
      body: JSON.stringify(body),
    });
    expect(response.status).toBe(200);
  });
  return (await response!.json()) as Record<string, unknown>;
}

// Whether the event loop is busy depends on the machine that runs the test.
const incidentsOf = async (app: TestApp): Promise<State['incidents']> =>
  (await look(app)).incidents.filter(({ kind }) => kind !== 'event-loop-busy');
const kinds = async (app: TestApp): Promise<string[]> =>
  (await incidentsOf(app)).map(({ kind }) => kind);
const refused = (app: TestApp, userId: string): Promise<void> =>
  TestClient.open(app.url(`/live?user=${userId}`)).then(
    () => expect('admitted').toBe('refused'),
    () => undefined,
  );

describe('the feed', () => {
  it('shows repeated refusals as one line that counts, and keeps the lines of other kinds', async () => {
    const app = await start({ limits: { maxManagersPerUser: 1 } });
    await look(app);
    await TestClient.open(app.url('/live?user=ada'));
    const before = (await look(app)).events.latest;
    for (let attempt = 0; attempt < 30; attempt += 1) await refused(app, 'ada');
    const { items } = (await look(app, before)).events;
    const refusals = items.filter(({ name }) => name === 'connection-refused');
    expect(refusals).toMatchObject([
      { times: 30, details: { userId: 'ada', reason: 'user-limit' } },
    ]);
    const all = (await look(app)).events.items.map(({ name }) => name);
    expect(all).toContain('connection-ready');
  });

  it('keeps at most 60 lines of a kind, and says how many it left out', async () => {
    const app = await start({ limits: { maxManagers: 1 } });
    await look(app);
    await TestClient.open(app.url('/live?user=ada'));
    for (let user = 0; user < 80; user += 1) await refused(app, `user-${user}`);
    const { items } = (await look(app)).events;
    expect(items.filter(({ name }) => name === 'connection-refused').length).toBeLessThanOrEqual(
      60,
    );
    expect(items.map(({ name }) => name)).toContain('connection-ready');
  });
});

describe('cleanups', () => {
  it('are counted in buckets, however many there are', async () => {
    const clock = new FakeClock(Date.UTC(2026, 10, 24));
    const app = await start({ clock });
    await look(app);
    const factory = app.app.get(WebSocketManagerFactory);
    for (let run = 0; run < 400; run += 1) await factory.cleanupExpired();
    const byHand = (await look(app)).cleanups.buckets.filter(({ kind }) => kind === 'expired');
    expect(byHand.map(({ runs }) => runs)).toEqual([400]);
  });
});

describe('incidents', () => {
  it('are none while nothing is wrong', async () => {
    const app = await start();
    await TestClient.open(app.url('/live?user=ada'));
    expect(await kinds(app)).toEqual([]);
  });

  it('name users at the limit, a process that is nearly full, and a drain', async () => {
    const app = await start({ limits: { maxManagersPerUser: 1, maxManagers: 1 } });
    await TestClient.open(app.url('/live?user=ada'));
    await eventually(async () => expect(await kinds(app)).toEqual(['users-full', 'nearly-full']));
    await act(app, { action: 'drain' });
    await eventually(async () => expect(await kinds(app)).toEqual(['draining']));
  });

  it('name refusals and failures that are a large share, and violations', async () => {
    const clock = new FakeClock(Date.UTC(2026, 10, 24));
    const app = await start({ clock, limits: { maxManagersPerUser: 1 } });
    await look(app);
    const client = await TestClient.open(app.url('/live?user=ada'));
    for (let times = 0; times < 10; times += 1) {
      await refused(app, 'ada');
      client.send('fail');
      await client.next('exception');
    }
    await clock.advance(5_000);
    const found = await incidentsOf(app);
    expect(found.map(({ kind }) => kind)).toEqual(['refusing', 'failing', 'users-full']);
    expect(found[0]).toMatchObject({
      count: 120,
      reasons: [{ reason: 'user-limit', count: 120 }],
      culprits: {
        users: [{ userId: 'ada', times: 10 }],
        addresses: [{ address: '127.0.0.0/24', times: 10 }],
        paths: [{ path: '/live', times: 10 }],
      },
    });
    expect(found[1]).toMatchObject({ count: 120, failing: [{ key: 'fail: Error', times: 10 }] });
    const factory = app.app.get(WebSocketManagerFactory);
    factory.violation(factory.managersOf('ada')[0]!.context, 'a test');
    await clock.advance(1_000);
    expect((await incidentsOf(app))[0]).toMatchObject({ kind: 'isolation-violated', count: 1 });
    // Half a minute later, all is quiet.
    for (let samples = 0; samples < 7; samples += 1) await clock.advance(5_000);
    expect(await kinds(app)).toEqual(['isolation-violated', 'users-full']);
    await clock.advance(15 * 60_000);
    expect(await kinds(app)).not.toContain('isolation-violated');
  });

  it('name what is wrong on another node, beside its load and what users hold on all nodes', async () => {
    await using redis = await TestRedis.start();
    const node = (nodeName: string): Promise<TestApp> =>
      start({
        cluster: redisCluster({ url: redis.url, nodeName, heartbeatMs: 300 }),
        limits: { maxManagersPerUser: 2 },
      });
    const [one, two] = [await node('one'), await node('two')];
    await TestClient.open(one.url('/live?user=ada'));
    await TestClient.open(two.url('/live?user=ada'));
    await eventually(async () => {
      for (let times = 0; times < 5; times += 1) await refused(two, 'ada');
      expect(await incidentsOf(one)).toMatchObject([
        { kind: 'refusing', node: 'two' },
        { kind: 'users-full', count: 1 },
      ]);
    });
    const { users, cluster } = await look(one);
    expect(users.top).toEqual([{ userId: 'ada', held: 1, everywhere: 2 }]);
    const other = cluster.nodes.find(({ name }) => name === 'two');
    expect(other).toMatchObject({ load: { users: 1, messagesPerSecond: 0 } });
    expect(other!.load!.memoryBytes).toBeGreaterThan(0);
  });

  it('name a node that has gone without a drain', async () => {
    await using redis = await TestRedis.start();
    const cluster = redisCluster({ url: redis.url, nodeName: 'one', heartbeatMs: 300 });
    const app = await start({ cluster });
    const other = await ClusterNode.start(redis.url, { heartbeatMs: 300, nodeName: 'other' });
    const nodes = async (): Promise<number> => (await look(app)).cluster.nodes.length;
    await eventually(async () => expect(await nodes()).toBe(2));
    await other.kill();
    await eventually(async () =>
      expect(await incidentsOf(app)).toMatchObject([{ kind: 'node-gone', what: 'other' }]),
    );
  });

  it('tell since when Redis is away', async () => {
    await using redis = await TestRedis.start();
    const node = (nodeName: string): Promise<TestApp> =>
      start({ cluster: redisCluster({ url: redis.url, nodeName, heartbeatMs: 300 }) });
    const one = await node('one');
    await eventually(async () => expect((await look(one)).cluster).toMatchObject({ state: 'up' }));
    await redis.kill();
    await eventually(async () => {
      const { cluster } = await look(one);
      expect(cluster.state).not.toBe('up');
      expect(await incidentsOf(one)).toMatchObject([
        { kind: 'cluster-away', since: cluster.since },
      ]);
    });
  });
});

// The lease of a node that is cut off does not end during a test.
function nodeOn(port: number, nodeName: string): Promise<TestApp> {
  const url = `redis://127.0.0.1:${port}`;
  return start({ cluster: redisCluster({ url, nodeName, heartbeatMs: 300, leaseMs: 600_000 }) });
}

describe('in a cluster, an operator', () => {
  it('acts on the node that holds the connection, and is told which node did not answer', async () => {
    await using redis = await TestRedis.start();
    await using proxy = await TcpProxy.start(redis.port);
    const [one, two] = [await nodeOn(redis.port, 'one'), await nodeOn(proxy.port, 'two')];
    const clients = await Promise.all(
      [one, two, two, two].map((app) => TestClient.open(app.url('/live?user=ada'))),
    );
    const managers = [one, two].flatMap(({ app }) =>
      app.get(WebSocketManagerFactory).managersOf('ada'),
    );
    for (const manager of managers) await manager.join('tea');
    const isIn = (): boolean[] => managers.map(({ topics }) => topics.has('tea'));
    await eventually(async () => expect((await look(one)).cluster.nodes).toHaveLength(2));

    const [, other] = managers;
    const connection = {
      action: 'remove-connection-from-topic',
      target: other!.context.connectionId,
      topic: 'tea',
    };
    expect(await act(one, connection)).toEqual({ count: 1 });
    expect(await act(one, connection)).toEqual({ count: 0 });
    expect(isIn()).toEqual([true, false, true, true]);
    const user = { action: 'remove-user-from-topic', target: 'ada', topic: 'tea' };
    expect(await act(one, user)).toEqual({ count: 3 });
    expect(isIn()).toEqual([false, false, false, false]);
    const told = { event: 'unsubscribed', data: { topic: 'tea', reason: 'removed' } };
    for (const client of clients) expect(await client.next('unsubscribed')).toEqual(told);

    for (const manager of managers) await manager.join('tea');
    proxy.isClosed = true;
    proxy.cut();
    expect(await act(one, user)).toEqual({ count: 1, silent: ['two'], isRecorded: true });
    expect(isIn()).toEqual([false, true, true, true]);
    const { events } = await look(one);
    expect(events.items.map(({ name }) => name)).toContain('topic-removal-unconfirmed');
    proxy.isClosed = false;
    await eventually(() => expect(isIn()).toEqual([false, false, false, false]));
    // The node has read from Redis what it missed. It may need a moment longer until it hears questions again.
    await eventually(async () => expect(await act(one, connection)).toEqual({ count: 0 }));

    const all = { action: 'disconnect-user', target: 'ada' };
    const ended = act(one, all);
    expect(await Promise.all(clients.map((client) => client.closed()))).toEqual(
      clients.map(() => 4401),
    );
    expect(await ended).toEqual({ count: 4 });
  });
});
