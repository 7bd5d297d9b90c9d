import { afterEach, describe, expect, it } from '@jest/globals';
import {
  IsolationEventBus,
  type IsolationEvents,
  UserExecutionContext,
  WebSocketEmitter,
  type WebSocketIsolationOptions,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';

import { FakeSocket } from '../support/fleet.js';
import { LiveGateway } from '../support/live-gateway.js';
import { TestRedis } from '../support/redis.js';
import { startApp, type TestApp } from '../support/test-app.js';

const VIEWER = 'viewer=aaaa-bbbb-cccc';
const HOSTILE = '<img src=x onerror=alert(1)>';

let app: TestApp;
afterEach(() => app.close());

async function start(options: WebSocketIsolationOptions = {}): Promise<void> {
  app = await startApp({
    imports: [
      WebSocketIsolationDashboardModule.forRoot({
        guard: () => true,
        canAct: () => true,
        whoIs: () => 'grace',
      }),
    ],
    providers: [LiveGateway],
    options,
  });
}

async function connect(user: string): Promise<{ client: TestClient; manager: WebSocketManager }> {
  const factory = app.app.get(WebSocketManagerFactory);
  const before = new Set(factory.managersOf(user));
  const client = await app.connect(`/live?user=${user}`);
  const manager = factory.managersOf(user).find((each) => !before.has(each))!;
  return { client, manager };
}

async function get<T>(path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${app.port}/dashboard/${path}`);
  expect([path, response.status]).toEqual([path, 200]);
  return (await response.json()) as T;
}

interface List {
  readonly rows: readonly { readonly topic: string; readonly members: number }[];
  readonly total: number;
  readonly isCapped: boolean;
  readonly page: number;
  readonly pages: number;
}

interface Detail {
  readonly topic: {
    readonly members: number;
    readonly users: number | null;
    readonly named: readonly { userId: string; connections: number }[];
    readonly isPart: boolean;
  } | null;
}

const list = (query = ''): Promise<List> => get<List>(`topics?${VIEWER}&${query}`);
const names = async (query?: string): Promise<string[]> =>
  (await list(query)).rows.map(({ topic }) => topic);
const detail = (name: string): Promise<Detail> =>
  get<Detail>(`topic?${VIEWER}&name=${encodeURIComponent(name)}`);

async function act(body: object): Promise<{ status: number; count?: number }> {
  const { access } = await get<{ access: { token: string } }>(`state?${VIEWER}`);
  const response = await fetch(`http://127.0.0.1:${app.port}/dashboard/actions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'sec-fetch-site': 'same-origin',
      'x-dashboard-token': access.token,
    },
    body: JSON.stringify(body),
  });
  const { count } = (await response.json()) as { count?: number };
  return { status: response.status, ...(count !== undefined && { count }) };
}

/** Many users, each with a connection that no client is behind. */
async function crowd(size: number): Promise<WebSocketManager[]> {
  const factory = app.app.get(WebSocketManagerFactory);
  return Promise.all(
    Array.from({ length: size }, (_, index) => {
      const context = UserExecutionContext.fromWebSocketRequest({
        userId: `user-${index}`,
        threadId: 'tea',
      });
      return factory.createManager(context, { socket: new FakeSocket() });
    }),
  );
}

describe('the list of topics', () => {
  it('has the largest first, with members, users, messages and history', async () => {
    await start({ topics: { history: { windowMs: 60_000 } } });
    const [ada, again, bob] = [await connect('ada'), await connect('ada'), await connect('bob')];
    await bob.manager.join(HOSTILE);
    await bob.manager.join('tea');
    await ada.manager.join('tea');
    await again.manager.join('tea');
    app.app.get(WebSocketEmitter).toTopic('tea').send('said', 'hello');
    app.app.get(WebSocketEmitter).toTopic('tea').send('said', 'again');
    const { rows, ...rest } = await list();
    expect(rest).toMatchObject({ total: 2, isCapped: false, page: 1, pages: 1 });
    expect(rows).toEqual([
      {
        topic: 'tea',
        members: 3,
        users: 2,
        messages: 2,
        history: { events: 2, bytes: expect.any(Number) },
      },
      { topic: HOSTILE, members: 1, users: 1, messages: 0, history: { events: 0, bytes: 0 } },
    ]);
    expect(await names('search=ONERROR')).toEqual([HOSTILE]);
    expect(await names(`search=${encodeURIComponent('.*')}`)).toEqual([]);
    const { topics } = await get<{ topics: object }>(`state?${VIEWER}`);
    expect(topics).toMatchObject({ count: 2, memberships: 4, pending: 0 });
  });

  it('counts messages without a history too', async () => {
    await start();
    const { manager } = await connect('ada');
    await manager.join('tea');
    app.app.get(WebSocketEmitter).toTopic('tea').send('said', 'hello');
    await app.app.get(WebSocketEmitter).toTopic('tea').sendAsync('said', 'hello');
    app.app.get(WebSocketEmitter).toTopic('tea').sendCritical('said', 'hello');
    expect((await list()).rows).toEqual([
      { topic: 'tea', members: 1, users: 1, messages: 3, history: null },
    ]);
  });

  it('is paged, and bounded to the largest topics', async () => {
    await start({ topics: { maxPerConnection: 10_000 } });
    const [first, second] = await crowd(2);
    for (let index = 0; index < 2_600; index += 1) await first!.join(`topic-${index}`);
    for (let index = 2_575; index < 2_600; index += 1) await second!.join(`topic-${index}`);
    const page = await list();
    expect(page).toMatchObject({ total: 2_600, isCapped: true, pages: 40 });
    expect(page.rows.map(({ members }) => members)).toEqual(Array.from({ length: 25 }, () => 2));
    expect(await list('page=99')).toMatchObject({ page: 40 });
    expect(await names('page=2')).toEqual(
      Array.from({ length: 25 }, (_, index) => `topic-${index}`),
    );
    expect(await list('search=TOPIC-25')).toMatchObject({ total: 111, isCapped: false, pages: 5 });
    await Promise.all([first!.close(), second!.close()]);
    expect(await names()).toEqual([]);
  });

  it('refuses a search that is too long, or no text', async () => {
    await start();
    for (const query of [`search=${'x'.repeat(300)}`, 'search=a&search=b']) {
      const url = `http://127.0.0.1:${app.port}/dashboard/topics?${VIEWER}&${query}`;
      expect([query, (await fetch(url)).status]).toEqual([query, 400]);
    }
    expect((await fetch(`http://127.0.0.1:${app.port}/dashboard/topics`)).status).toBe(400);
  });
});

describe('one topic', () => {
  it.each([true, false])('names who is in it, with presence events: %s', async (presence) => {
    await start({ topics: { presence } });
    const [ada, again, bob] = [await connect('ada'), await connect('ada'), await connect('bob')];
    const other = await connect('ada');
    await other.manager.join('cake');
    for (const { manager } of [ada, bob, again]) await manager.join('tea');
    expect((await detail('tea')).topic).toMatchObject({
      members: 3,
      users: 2,
      named: [
        { userId: 'ada', connections: 2 },
        { userId: 'bob', connections: 1 },
      ],
      isPart: false,
    });
    expect(await detail('wine')).toEqual({ topic: null });
    expect(await get(`topic?${VIEWER}&name=tea&name=cake`)).toEqual({ topic: null });
  });

  it('names some of many users, and does not count them at each look', async () => {
    await start({ limits: { maxManagers: 2_000 } });
    const managers = await crowd(1_200);
    await Promise.all(managers.map((manager) => manager.join('tea')));
    const { topic } = await detail('tea');
    expect(topic).toMatchObject({ members: 1_200, users: null, isPart: true });
    expect(topic!.named).toHaveLength(50);
    await Promise.all(managers.map((manager) => manager.close()));
  });

  it('is among the facts of a connection, up to 50', async () => {
    await start();
    const { manager } = await connect('ada');
    const { connectionId } = manager.context;
    const read = async (): Promise<unknown> => {
      const path = `connection?${VIEWER}&id=${connectionId}`;
      return (await get<{ connection: { topics: unknown } }>(path)).connection.topics;
    };
    expect(await read()).toEqual({ count: 0, named: [] });
    for (let index = 0; index < 60; index += 1) await manager.join(`topic-${index}`);
    expect(await read()).toEqual({
      count: 60,
      named: Array.from({ length: 50 }, (_, index) => ({ topic: `topic-${index}` })),
    });
  });
});

describe('an operator', () => {
  it('removes a connection or a user from a topic, and the clients are told', async () => {
    await start({ topics: { authorizer: () => true } });
    const audit: IsolationEvents['operator-action'][] = [];
    app.app
      .get(IsolationEventBus)
      .on('operator-action', (details) => void audit.push({ ...details, from: '' }));
    const [one, two, bob] = [await connect('ada'), await connect('ada'), await connect('bob')];
    for (const { client } of [one, two, bob]) {
      await client.subscribe(HOSTILE);
      await client.subscribe('cake');
    }
    const target = one.manager.context.connectionId;
    const connection = { action: 'remove-connection-from-topic', target, topic: HOSTILE };
    expect(await act(connection)).toEqual({ status: 200, count: 1 });
    expect(await act(connection)).toEqual({ status: 200, count: 0 });
    const told = { event: 'unsubscribed', data: { topic: HOSTILE, reason: 'removed' } };
    expect(await one.client.next('unsubscribed')).toEqual(told);
    expect([...one.manager.topics]).toEqual(['cake']);
    expect([...two.manager.topics]).toEqual([HOSTILE, 'cake']);

    const user = { action: 'remove-user-from-topic', target: 'ada', topic: 'cake' };
    expect(await act(user)).toEqual({ status: 200, count: 2 });
    expect(await two.client.next('unsubscribed')).toEqual({
      event: 'unsubscribed',
      data: { topic: 'cake', reason: 'removed' },
    });
    expect([...bob.manager.topics]).toEqual([HOSTILE, 'cake']);
    expect(audit).toEqual([
      { who: 'grace', from: '', ...connection, count: 1 },
      { who: 'grace', from: '', ...connection, count: 0 },
      { who: 'grace', from: '', ...user, count: 2 },
    ]);
    // The connections live, and the authorizer decides whether they come back.
    expect(await one.client.subscribe('cake')).toEqual({ topic: 'cake' });
    await eventually(() => expect(bob.client.messages).toHaveLength(2));
  });

  it('cannot remove without a name of a topic, or a target', async () => {
    await start();
    const user = { action: 'remove-user-from-topic', target: 'ada', topic: 'tea' };
    for (const change of [
      { topic: undefined },
      { topic: '' },
      { topic: 7 },
      { topic: 'a\nb' },
      { topic: 'x'.repeat(257) },
      { target: '' },
      { target: ['ada'] },
    ]) {
      expect([change, (await act({ ...user, ...change })).status]).toEqual([change, 400]);
    }
  });
});

describe('in a cluster', () => {
  it('lists the members of this process, and keeps no history here', async () => {
    await using redis = await TestRedis.start();
    await start({ cluster: redisCluster({ url: redis.url }), topics: { history: {} } });
    const [ada, again] = [await connect('ada'), await connect('ada')];
    await ada.manager.join('tea');
    await again.manager.join('tea');
    await app.app.get(WebSocketEmitter).toTopic('tea').sendAsync('said', 'hello');
    await eventually(async () =>
      expect((await list()).rows).toEqual([
        { topic: 'tea', members: 2, users: 1, messages: 1, history: null },
      ]),
    );
    expect((await detail('tea')).topic!.named).toEqual([{ userId: 'ada', connections: 2 }]);
    await app.close();
  });
});
