import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  Module,
  type NestInterceptor,
  Scope,
  ValidationPipe,
} from '@nestjs/common';
import { WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import {
  type DashboardModuleOptions,
  WebSocketIsolationDashboardModule,
} from 'nestjs-websocket-isolation/dashboard';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import { map, of } from 'rxjs';

import { LiveGateway } from '../support/live-gateway.js';
import { TestRedis } from '../support/redis.js';
import { startApp, type TestApp, type TestAppSetup } from '../support/test-app.js';

const VIEWER = 'viewer=aaaa-bbbb-cccc';
const HOUR = 3_600_000;

let running: TestApp[] = [];
afterEach(async () => {
  await Promise.all(running.map((app) => app.close()));
  running = [];
});

async function start(
  options: Partial<DashboardModuleOptions> = {},
  setup: TestAppSetup = {},
): Promise<TestApp> {
  const app = await startApp({
    ...setup,
    imports: [
      WebSocketIsolationDashboardModule.forRoot({
        ...(!options.allowAnonymous && { guard: () => true }),
        canSeeIds: () => true,
        ...options,
      }),
    ],
    providers: [LiveGateway, ...(setup.providers ?? [])],
  });
  running.push(app);
  return app;
}

async function get<T = Record<string, unknown>>({ port }: TestApp, path: string): Promise<T> {
  const response = await fetch(`http://127.0.0.1:${port}/dashboard/${path}`);
  expect(response.status).toBe(200);
  return (await response.json()) as T;
}

interface State {
  readonly access: { readonly token: string };
  readonly isDraining: boolean;
  readonly users: { readonly top: readonly { userId: string; held: number }[] };
  readonly cluster: { readonly nodes: readonly { name: string; connections: number }[] } | null;
  readonly cleanups: { readonly buckets: readonly { kind: string; removed: number }[] };
}

const look = (app: TestApp): Promise<State> => get<State>(app, `state?${VIEWER}`);
const listed = async (app: TestApp, query: string): Promise<string[]> => {
  const { rows } = await get<{ rows: { userId: string }[] }>(app, `connections?${VIEWER}&${query}`);
  return rows.map(({ userId }) => userId);
};

async function act(app: TestApp, body: object): Promise<{ count: number }> {
  const { access } = await look(app);
  const response = await fetch(`http://127.0.0.1:${app.port}/dashboard/actions`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      origin: `http://127.0.0.1:${app.port}`,
      'x-dashboard-token': access.token,
    },
    body: JSON.stringify(body),
  });
  expect(response.status).toBe(200);
  return (await response.json()) as { count: number };
}

describe('the list of connections', () => {
  it('comes in the requested order', async () => {
    // A ping would measure a round trip, and its pong is a sign of life.
    const app = await start({}, { options: { heartbeat: { intervalMs: 64 * HOUR } } });
    const clients: TestClient[] = [];
    for (const userId of ['ada', 'bob', 'cleo', 'dan']) {
      clients.push(await TestClient.open(app.url(`/live?user=${userId}&thread=tea`)));
    }
    await clients[1]!.ask('say', { text: 'hello' });
    clients[3]!.send('work', { label: 'report' });
    await eventually(async () => expect(await listed(app, 'view=pinned')).toEqual(['dan']));
    expect(await listed(app, 'view=all')).toEqual(['ada', 'bob', 'cleo', 'dan']);
    expect(await listed(app, 'view=recent')).toEqual(['bob', 'cleo', 'ada']);
    expect(await listed(app, 'view=idle')).toEqual(['ada', 'cleo', 'bob']);
    expect(await listed(app, 'view=recent&search=o')).toEqual(['bob', 'cleo']);
    expect(await listed(app, 'view=idle&search=o')).toEqual(['cleo', 'bob']);
    const { rows } = await get<{ rows: { connectionId: string }[] }>(app, `connections?${VIEWER}`);
    const ofCleo = rows[2]!.connectionId;
    expect(await listed(app, `search=${ofCleo}`)).toEqual(['cleo']);
    expect(await listed(app, `search=${ofCleo.slice(-8)}`)).toEqual(['cleo']);
    expect(await listed(app, 'view=closing')).toEqual([]);
    // Without a queue or a measured round trip, a connection has no place in these.
    expect(await listed(app, 'view=queued')).toEqual([]);
    expect(await listed(app, 'view=slow')).toEqual([]);
    // Characters of patterns are taken literally.
    expect(await listed(app, `search=${encodeURIComponent('.*')}`)).toEqual([]);
    expect(await listed(app, `search=${encodeURIComponent('(')}`)).toEqual([]);
  });

  it('ranks the users by their connections', async () => {
    const app = await start();
    for (const userId of ['ada', 'bob', 'bob', 'cleo', 'cleo', 'cleo']) {
      await TestClient.open(app.url(`/live?user=${userId}`));
    }
    const { users } = await look(app);
    expect(users).toMatchObject({
      count: 3,
      crowded: 0,
      full: 0,
      top: [
        { userId: 'cleo', held: 3 },
        { userId: 'bob', held: 2 },
        { userId: 'ada', held: 1 },
      ],
    });
    // The figures use the limits in force.
    app.app.get(WebSocketManagerFactory).setLimits({ maxManagersPerUser: 3 });
    await eventually(async () =>
      expect((await look(app)).users).toMatchObject({
        full: 1,
        distribution: { step: 1, users: [1, 1, 1] },
      }),
    );
  });
});

describe('actions', () => {
  it('disconnect a connection or a user, clean up, and drain', async () => {
    const app = await start({ canAct: () => true });
    const open = (): Promise<TestClient> => TestClient.open(app.url('/live?user=ada'));
    const [one, two, three] = [await open(), await open(), await open()];
    const { rows } = await get<{ rows: { connectionId: string }[] }>(app, `connections?${VIEWER}`);
    const target = rows[0]!.connectionId;
    const first = { action: 'disconnect-connection', target };
    expect(await act(app, { ...first, mayReconnect: true })).toEqual({ count: 1 });
    expect(await one.closed()).toBe(1001);
    expect(await act(app, first)).toEqual({ count: 0 });
    expect(await act(app, { action: 'cleanup' })).toEqual({ count: 0 });
    expect((await look(app)).cleanups.buckets.at(-1)).toMatchObject({
      kind: 'expired',
      removed: 0,
    });
    expect(await act(app, { action: 'disconnect-user', target: 'ada' })).toEqual({ count: 2 });
    expect([await two.closed(), await three.closed()]).toEqual([4401, 4401]);

    const last = await open();
    expect(await act(app, { action: 'drain' })).toEqual({ count: 1 });
    expect(await last.closed()).toBe(1001);
    await expect(open()).rejects.toMatchObject({ status: 503 });
    await eventually(async () => expect((await look(app)).isDraining).toBe(true));
  });
});

describe('guards', () => {
  it('that are not providers are instantiated with the imports of the module', async () => {
    @Injectable()
    class Answers {
      readonly yes = true;
    }
    @Module({ providers: [Answers], exports: [Answers] })
    class AnswersModule {}
    @Injectable()
    class AskingGuard implements CanActivate {
      constructor(private readonly answers: Answers) {}
      canActivate(): ReturnType<CanActivate['canActivate']> {
        return of(this.answers.yes);
      }
    }
    const app = await start({ guard: AskingGuard, imports: [AnswersModule] });
    expect((await look(app)).isDraining).toBe(false);
  });

  it('may be request-scoped', async () => {
    let made = 0;
    @Injectable({ scope: Scope.REQUEST })
    class FreshGuard implements CanActivate {
      constructor() {
        made += 1;
      }
      canActivate(context: ExecutionContext): boolean {
        return context.getClass().name === 'DashboardController';
      }
    }
    const app = await start({ guard: FreshGuard }, { providers: [FreshGuard] });
    await look(app);
    await look(app);
    expect(made).toBeGreaterThanOrEqual(2);
  });

  it('that throw admit no visitor, and do not count as failed attempts', async () => {
    const app = await start({
      guard: () => {
        throw new Error('the database is away');
      },
    });
    for (let attempt = 0; attempt < 7; attempt += 1) {
      const { status } = await fetch(`http://127.0.0.1:${app.port}/dashboard`);
      expect(status).toBe(500);
    }
  });
});

describe('in an application that changes every response', () => {
  it('the page gets unchanged responses', async () => {
    const wrapping: NestInterceptor = {
      intercept: (_context: ExecutionContext, next: CallHandler) =>
        next.handle().pipe(map((data: unknown) => ({ wrapped: data }))),
    };
    const app = await start(
      {},
      {
        prepare: (nest) => {
          nest.useGlobalInterceptors(wrapping);
          nest.useGlobalPipes(
            new ValidationPipe({ whitelist: true, forbidNonWhitelisted: true, transform: true }),
          );
        },
      },
    );
    expect(await look(app)).toMatchObject({ ledger: { created: 0 }, cluster: null });
    expect(await listed(app, 'view=all&page=1')).toEqual([]);
  });
});

describe('beside the rest of an application', () => {
  it('serves only its own addresses, even at the root path', async () => {
    @Controller()
    class OwnController {
      @Get('about')
      about(): string {
        return 'mine';
      }
    }
    const app = await start({ path: '' }, { controllers: [OwnController] });
    const ask = async (path: string): Promise<string> =>
      (await fetch(`http://127.0.0.1:${app.port}/${path}`)).text();
    expect(await ask('about')).toBe('mine');
    expect(await ask('')).toContain('src="./page.js"');
    expect(await ask('page.js')).toContain('import');
  });
});

describe('in a cluster', () => {
  it('lists the processes with their connections', async () => {
    await using redis = await TestRedis.start();
    const node = (name: string): Promise<TestApp> =>
      start(
        {},
        {
          options: { cluster: redisCluster({ url: redis.url, nodeName: name, heartbeatMs: 300 }) },
        },
      );
    const one = await node('one');
    await node('two');
    await TestClient.open(one.url('/live?user=ada'));
    await eventually(async () => {
      const { cluster } = await look(one);
      const nodes = cluster!.nodes.map(({ name, connections }) => `${name}: ${connections}`);
      expect(nodes.toSorted((a, b) => a.localeCompare(b))).toEqual(['one: 1', 'two: 0']);
    });
    await Promise.all(running.splice(0).map((app) => app.close()));
  });
});
