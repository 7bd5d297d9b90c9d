import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type CanActivate,
  type ExecutionContext,
  Injectable,
  type LoggerService,
  Module,
  UnauthorizedException,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { WebSocketIsolationModule, WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import {
  type DashboardModuleOptions,
  WebSocketIsolationDashboardModule,
} from 'nestjs-websocket-isolation/dashboard';
import { eventually, TestClient, UpgradeRefused } from 'nestjs-websocket-isolation/testing';

import { isFromThisMachine } from '../../src/pages/loopback.js';
import { Watch } from '../../src/dashboard/watch.js';
import { IsolationEventBus } from '../../src/journal/event-bus.js';
import { FakeClock } from '../../src/testing/fake-clock.js';
import { LiveGateway } from '../support/live-gateway.js';
import { RawSocket } from '../support/raw-socket.js';
import { startApp, type TestApp } from '../support/test-app.js';

const VIEWER = 'viewer=aaaa-bbbb-cccc';

/** The roles, in a provider like in a real app. */
@Injectable()
class Roles {
  readonly looking = new Set(['viewer', 'operator']);
}

@Injectable()
class LookingGuard implements CanActivate {
  constructor(private readonly roles: Roles) {}

  canActivate(context: ExecutionContext): boolean {
    const request = context.switchToHttp().getRequest<{
      headers: Record<string, string | undefined>;
      user?: unknown;
    }>();
    const role = request.headers['authorization'];
    if (role === undefined) throw new UnauthorizedException();
    request.user = { userId: role };
    return this.roles.looking.has(role);
  }
}

const mayAct: DashboardModuleOptions['canAct'] = ({ user }) =>
  (user as { userId?: string } | undefined)?.userId === 'operator';

class Lines implements LoggerService {
  readonly all: string[] = [];
  log(line: string): void {
    this.all.push(line);
  }
  warn(line: string): void {
    this.all.push(line);
  }
  error(): void {
    // The tests do not check errors.
  }
}

let running: TestApp | undefined;
afterEach(async () => {
  await running?.close();
  running = undefined;
});

interface Setup {
  readonly options?: Partial<DashboardModuleOptions>;
  readonly isFastify?: boolean;
  readonly clock?: FakeClock;
  readonly logger?: LoggerService;
  readonly prefix?: string;
  readonly trustProxy?: number;
  readonly logAddresses?: 'full';
}

async function start(
  setup: Setup = {},
): Promise<(path: string, init?: Asked) => Promise<Response>> {
  running = await startApp({
    imports: [
      WebSocketIsolationDashboardModule.forRoot({
        guard: LookingGuard,
        canAct: mayAct,
        ...setup.options,
      }),
    ],
    providers: [Roles, LookingGuard, LiveGateway],
    ...(setup.isFastify && { adapter: new FastifyAdapter() }),
    ...(setup.logger && { logger: setup.logger }),
    ...(setup.prefix && { prepare: (app) => void app.setGlobalPrefix(setup.prefix!) }),
    options: {
      ...(setup.clock && { clock: setup.clock }),
      handshake: {
        ...(setup.trustProxy !== undefined && { trustProxy: setup.trustProxy }),
        ...(setup.logAddresses && { logAddresses: setup.logAddresses }),
      },
    },
  });
  const { port } = running;
  return (path, { as, ...init } = {}) =>
    fetch(`http://127.0.0.1:${port}${path}`, {
      redirect: 'manual',
      ...init,
      headers: { ...(as && { authorization: as }), ...init.headers },
    });
}

interface Asked extends RequestInit {
  readonly as?: string;
  readonly headers?: Record<string, string>;
}

interface State {
  readonly access: { readonly mayAct: boolean; readonly token: string | null };
  readonly history: { readonly samples: readonly { readonly at: number }[] };
  readonly events: { readonly latest: number; readonly items: readonly { name: string }[] };
}

const json = async <T>(response: Promise<Response>): Promise<T> =>
  (await (await response).json()) as T;

@Module({})
class AppModule {}

async function boots(options: Partial<DashboardModuleOptions>): Promise<void> {
  const app = await NestFactory.create(
    {
      module: AppModule,
      imports: [
        WebSocketIsolationModule.forRoot(),
        WebSocketIsolationDashboardModule.forRoot(options),
      ],
    },
    { logger: false, abortOnError: false },
  );
  await app.close();
}

describe('a dashboard without a guard', () => {
  it('does not start', async () => {
    await expect(boots({})).rejects.toMatchObject({ code: 'DASHBOARD_UNGUARDED' });
    await expect(boots({ path: 'admin', canAct: mayAct })).rejects.toThrow(/has no guard/);
  });

  it('serves only this machine with allowAnonymous', async () => {
    const ask = await start({ options: { guard: undefined, allowAnonymous: true } });
    expect((await ask('/dashboard')).status).toBe(200);
    for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip']) {
      expect((await ask('/dashboard', { headers: { [name]: '127.0.0.1' } })).status).toBe(403);
    }
    // The host name that a foreign page has after DNS rebinding.
    const raw = await RawSocket.open(running!.port);
    raw.write('GET /dashboard HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n');
    await eventually(() => expect(raw.status).toBe(403));
    raw.destroy();
  });

  it.each([
    ['127.0.0.1', 'localhost:3000', true],
    ['127.8.8.8', '127.0.0.1', true],
    ['::ffff:127.0.0.1', 'localhost', true],
    ['::1', '[::1]:3000', true],
    ['10.0.0.7', 'localhost:3000', false],
    ['::ffff:10.0.0.7', 'localhost', false],
    ['127.0.0.1', 'localhost.evil.example', false],
    ['127.0.0.1', '', false],
    [undefined, 'localhost', false],
  ])('treats %s with host %s as this machine: %s', (remoteAddress, host, expected) => {
    const request = { headers: { host }, url: '/', socket: { remoteAddress } };
    expect(isFromThisMachine(request)).toBe(expected);
  });
});

describe.each([
  ['Express', false],
  ['Fastify', true],
])('the dashboard on %s', (_name, isFastify) => {
  it('admits visitors only if its guard does, on every route', async () => {
    const ask = await start({ isFastify });
    const state = `/dashboard/state?${VIEWER}`;
    const paths = ['/dashboard', '/dashboard/page.js', state, `/dashboard/connections?${VIEWER}`];
    for (const path of paths) {
      expect((await ask(path, { as: 'viewer' })).status).toBe(200);
    }
    expect((await ask('/dashboard')).status).toBe(401);
    expect((await ask(state)).status).toBe(401);
    expect((await ask('/dashboard/page.js', { as: 'guest' })).status).toBe(403);
    expect((await ask('/dashboard/../../package.json', { as: 'viewer' })).status).toBe(404);
    expect((await ask('/dashboard/..%2f..%2fpackage.json', { as: 'viewer' })).status).toBe(404);
    expect((await ask('/dashboard/constructor', { as: 'viewer' })).status).toBe(404);
  });

  it('sends a strict content security policy, with refusals too', async () => {
    const ask = await start({ isFastify });
    for (const answer of [await ask('/dashboard', { as: 'viewer' }), await ask('/dashboard')]) {
      const policy = answer.headers.get('content-security-policy')!;
      expect(policy).toContain("default-src 'none'; script-src 'self'; style-src 'self'");
      expect(policy).not.toContain('unsafe');
      expect(policy).toContain("frame-ancestors 'none'");
      expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
      expect(answer.headers.get('cache-control')).toBe('no-store');
    }
    const page = await (await ask('/dashboard', { as: 'viewer' })).text();
    expect(page).not.toMatch(/<script(?![^>]*\bsrc=)|\son\w+=|\sstyle=|<style|https?:\/\//);
    const script = await ask('/dashboard/page.js', { as: 'viewer' });
    expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8');
    expect(await script.text()).not.toMatch(/innerHTML|outerHTML|insertAdjacentHTML|eval\(/);
  });

  it('finds its files below any prefix, with and without a slash', async () => {
    const ask = await start({ isFastify, prefix: 'api/v1', options: { path: 'ops/sockets' } });
    const paths = ['/api/v1/ops/sockets', ...(isFastify ? [] : ['/api/v1/ops/sockets/'])];
    for (const path of paths) {
      const page = await (await ask(path, { as: 'viewer' })).text();
      const [, source] = /<script type="module" src="([^"]+)"/.exec(page)!;
      const { pathname } = new URL(source!, `http://host${path}`);
      expect(pathname).toBe('/api/v1/ops/sockets/page.js');
      expect((await ask(pathname, { as: 'viewer' })).status).toBe(200);
    }
  });

  it('performs actions only for operators, only from its own page, and logs them', async () => {
    const logger = new Lines();
    const ask = await start({ isFastify, logger });
    const { port } = running!;
    const read = (as: string): Promise<State> => json(ask(`/dashboard/state?${VIEWER}`, { as }));
    expect((await read('viewer')).access).toEqual({
      mayAct: false,
      seesIds: false,
      token: null,
    });
    const token = (await read('operator')).access.token!;
    const client = await TestClient.open(running!.url('/live?user=ada'));
    const act = async (as: string, headers: Record<string, string>): Promise<number> => {
      const answer = await ask('/dashboard/actions', {
        as,
        method: 'POST',
        headers,
        body: JSON.stringify({ action: 'disconnect-user', target: 'ada' }),
      });
      return answer.status;
    };
    const own = {
      'content-type': 'application/json',
      origin: `http://127.0.0.1:${port}`,
      'x-dashboard-token': token,
    };
    expect(await act('viewer', own)).toBe(403);
    expect(await act('operator', { ...own, origin: 'http://evil.example' })).toBe(403);
    expect(await act('operator', { ...own, 'sec-fetch-site': 'cross-site' })).toBe(403);
    expect(await act('operator', { ...own, 'sec-fetch-site': 'same-site' })).toBe(403);
    expect(await act('operator', { ...own, 'x-dashboard-token': `${token}x` })).toBe(403);
    expect(await act('operator', { ...own, 'content-type': 'text/plain' })).toBe(403);
    const { origin: _origin, ...nowhere } = own;
    expect(await act('operator', nowhere)).toBe(403);
    expect(client.closeCode).toBeUndefined();

    expect(await act('operator', own)).toBe(200);
    expect(await client.closed()).toBe(4401);
    const line = logger.all.find((text) => text.startsWith('operator-action'));
    expect(line).toMatch(
      /^operator-action who=operator from=\S*127\.0\.0\.1 action=disconnect-user target=ada count=1$/,
    );
  });

  it('refuses invalid actions with 400', async () => {
    const ask = await start({ isFastify });
    const { access } = await json<State>(ask(`/dashboard/state?${VIEWER}`, { as: 'operator' }));
    const act = (body: string): Promise<Response> =>
      ask('/dashboard/actions', {
        as: 'operator',
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'sec-fetch-site': 'same-origin',
          'x-dashboard-token': access.token!,
        },
        body,
      });
    for (const body of [
      '{}',
      '[]',
      '{"action":"constructor"}',
      '{"action":"disconnect-user"}',
      '{"action":"disconnect-user","target":7}',
      `{"action":"disconnect-user","target":"${'x'.repeat(257)}"}`,
      '{"action":"cleanup","mayReconnect":"yes"}',
    ]) {
      expect([body, (await act(body)).status]).toEqual([body, 400]);
    }
    const answers = await Promise.all(
      Array.from({ length: 12 }, () => act('{"action":"cleanup"}')),
    );
    const statuses = answers.map(({ status }) => status);
    expect(statuses).toContain(200);
    expect(statuses).toContain(429);
  });

  it('shows the list of connections and the details of a connection', async () => {
    const ask = await start({ isFastify });
    const client = await TestClient.open(running!.url('/live?user=%3Cimg%20onerror%3E&thread=tea'));
    await TestClient.open(running!.url('/live?user=bob&thread=tea'));
    const list = await json<{ total: number; rows: { userId: string; connectionId: string }[] }>(
      ask(`/dashboard/connections?${VIEWER}&search=ONERROR`, { as: 'operator' }),
    );
    expect(list).toMatchObject({ total: 1, rows: [{ userId: '<img onerror>', state: 'ready' }] });
    const id = list.rows[0]!.connectionId;
    const detail = await json<{ connection: unknown }>(
      ask(`/dashboard/connection?${VIEWER}&id=${id}`, { as: 'operator' }),
    );
    expect(detail.connection).toMatchObject({
      userId: '<img onerror>',
      isolationKey: '<img onerror>:tea',
      disposers: 1,
      slots: { held: 1, limit: 20 },
    });
    await client.close();
    await eventually(async () =>
      expect(
        await json(ask(`/dashboard/connection?${VIEWER}&id=${id}`, { as: 'operator' })),
      ).toEqual({ connection: null }),
    );
    for (const query of ['view=none', `search=${'x'.repeat(300)}`, 'search=a&search=b']) {
      const answer = await ask(`/dashboard/connections?${VIEWER}&${query}`, { as: 'operator' });
      expect([query, answer.status]).toEqual([query, 400]);
    }
  });

  it('replaces ids, names of topics and addresses for viewers who may not see them', async () => {
    const ask = await start({ isFastify, logAddresses: 'full' });
    // Events are recorded while a page is open.
    await (await ask(`/dashboard/state?${VIEWER}`, { as: 'viewer' })).text();
    const client = await TestClient.open(running!.url('/live?user=ada-l&thread=ada-s-tea'));
    await client.ask('fail');
    await expect(client.subscribe('ada-secret')).rejects.toThrow('TOPIC_FORBIDDEN');
    await expect(TestClient.open(running!.url('/live'))).rejects.toThrow(UpgradeRefused);
    const [manager] = running!.app.get(WebSocketManagerFactory).managersOf('ada-l');
    await manager!.join('dm:ada-l:bob');
    await manager!.join('lobby');
    const look = async (path: string, as: string): Promise<string> =>
      (await ask(`/dashboard/${path}${VIEWER}`, { as })).text();
    const rows = async (search: string): Promise<{ userId: string; connectionId: string }[]> =>
      (JSON.parse(await look(`connections?search=${search}&`, 'viewer')) as { rows: [] }).rows;
    const [row] = await rows('');
    expect(row!.userId).toMatch(/^user-[0-9a-f]{8}$/);
    const topics = async (search = ''): Promise<string[]> => {
      const found = await look(`topics?search=${search}&`, 'viewer');
      return (JSON.parse(found) as { rows: { topic: string }[] }).rows.map(({ topic }) => topic);
    };
    const [one, two] = await topics();
    expect([one, two]).toEqual(Array(2).fill(expect.stringMatching(/^topic-[0-9a-f]{8}$/)));
    expect(one).not.toBe(two);
    const pages = [
      ['state?', 'state?', row!.userId],
      ['connections?', 'connections?', row!.userId],
      [`connection?id=${row!.connectionId}&`, `connection?id=${row!.connectionId}&`, one],
      [`topic?name=${one}&`, 'topic?name=dm:ada-l:bob&', row!.userId],
      ['topics?', 'topics?', one],
    ];
    for (const [path, inFull, pseudonym] of pages) {
      const hidden = await look(path!, 'viewer');
      expect(hidden).toContain(pseudonym);
      expect(hidden).not.toMatch(/ada-|lobby|127\.0\.0\.1/);
      expect(await look(inFull!, 'operator')).toContain('ada-l');
    }
    expect(await look('state?', 'viewer')).toContain('127.0.0.0/24');
    expect(await look('state?', 'operator')).toMatch(/127\.0\.0\.1"/);
    // Ids cannot be tried out by a search. Pseudonyms and ids of connections are found.
    expect(await rows('ada-l')).toEqual([]);
    expect(await rows(row!.userId)).toHaveLength(1);
    expect(await rows(row!.connectionId.slice(-8))).toHaveLength(1);
    expect(await topics('lobby')).toEqual([]);
    expect(await topics(two)).toEqual([two]);
    for (const name of ['lobby', 'topic-00000000', 'toString']) {
      expect(JSON.parse(await look(`topic?name=${name}&`, 'viewer'))).toEqual({ topic: null });
    }
  });
});

describe('viewers', () => {
  it('are bounded in number, and a closed page frees its place', async () => {
    const clock = new FakeClock();
    const ask = await start({ clock, options: { maxViewers: 2 } });
    const look = async (viewer: string): Promise<number> =>
      (await ask(`/dashboard/state?viewer=${viewer}`, { as: 'viewer' })).status;
    expect(await look('first-page')).toBe(200);
    expect(await look('second-page')).toBe(200);
    expect(await look('third-page')).toBe(503);
    expect(await look('first-page')).toBe(200);
    clock.jump(13_000);
    expect(await look('third-page')).toBe(200);
    expect(await look('')).toBe(400);
    expect(await look('%3Cscript%3E')).toBe(400);
  });

  it('are the only reason for a timer or a subscription', async () => {
    const clock = new FakeClock();
    const ask = await start({ clock });
    const watch = running!.app.get(Watch, { strict: false });
    const topic = running!.app.get(IsolationEventBus, { strict: false }).topic('connection-ready');
    const idleTimers = clock.pendingTimers;
    expect([watch.isRecording, topic.isHeard]).toEqual([false, false]);
    await ask('/dashboard', { as: 'viewer' });
    expect([watch.isRecording, clock.pendingTimers]).toEqual([false, idleTimers]);
    await ask(`/dashboard/state?${VIEWER}`, { as: 'viewer' });
    expect([watch.isRecording, topic.isHeard]).toEqual([true, true]);
    expect(clock.pendingTimers).toBe(idleTimers + 1);
    await clock.advance(20_000);
    expect([watch.isRecording, topic.isHeard]).toEqual([false, false]);
    expect(clock.pendingTimers).toBe(idleTimers);
  });

  it('get only new data, and see periods without viewers as missing', async () => {
    const clock = new FakeClock();
    const ask = await start({ clock });
    const look = (query: string): Promise<State> =>
      json(ask(`/dashboard/state?${VIEWER}&${query}`, { as: 'viewer' }));
    const first = await look('');
    expect(first.history.samples).toHaveLength(1);
    await clock.advance(10_000);
    const client = await TestClient.open(running!.url('/live?user=ada'));
    const since = first.history.samples[0]!.at;
    const second = await look(`since=${since}&after=0`);
    expect(second.history.samples.map(({ at }) => at - since)).toEqual([5_000, 10_000]);
    expect(second.events.items.map(({ name }) => name)).toEqual(['connection-ready']);
    expect((await look(`after=${second.events.latest}`)).events.items).toEqual([]);
    await clock.advance(60_000);
    const later = await look('since=0');
    const steps = later.history.samples.map(
      ({ at }, index, all) => at - (all[index - 1]?.at ?? at),
    );
    expect(Math.max(...steps)).toBeGreaterThan(30_000);
    expect(later.history.samples.at(-1)).toMatchObject({ messages: null, connections: 1 });
    await client.close();
  });

  it.each([
    ['Express', false],
    ['Fastify', true],
  ])(
    'who guess credentials get 429, and do not lock out valid visitors (%s)',
    async (_name, isFastify) => {
      const clock = new FakeClock();
      const ask = await start({ clock, isFastify });
      const guess = (from: number, to: number): Promise<Response[]> =>
        Promise.all(
          Array.from({ length: to - from }, (_, index) =>
            ask('/dashboard', { as: `guess-${from + index}` }),
          ),
        );
      const statusOf = async (as: string): Promise<number> =>
        (await ask('/dashboard', { as })).status;

      expect((await guess(0, 10)).map(({ status }) => status)).toEqual(Array(10).fill(403));
      expect(await statusOf('viewer')).toBe(200);
      const answers = await guess(10, 60);
      const late = answers.filter(({ status }) => status === 429);
      expect(answers.filter(({ status }) => status === 403)).toHaveLength(10);
      expect(late).toHaveLength(40);
      expect(late.map(({ headers }) => headers.get('retry-after'))).toEqual(Array(40).fill('1'));
      // A visitor who was admitted before does not wait. A new visitor waits for the Retry-After of the response.
      expect(await statusOf('viewer')).toBe(200);
      expect(await statusOf('operator')).toBe(429);
      clock.jump(1_000);
      expect(await statusOf('operator')).toBe(200);
    },
  );

  it.each([
    ['behind a trusted proxy, by the address that it names', 1, 200],
    ['without one, by that of the peer, whatever a header says', undefined, 429],
  ])('who guess credentials are slowed down %s', async (_name, trustProxy, others) => {
    const ask = await start({ clock: new FakeClock(), ...(trustProxy && { trustProxy }) });
    const statusFrom = async (address: string, as: string): Promise<number> =>
      (await ask('/dashboard', { as, headers: { 'x-forwarded-for': address } })).status;
    // All of one /64.
    for (let guess = 0; guess < 20; guess += 1) {
      expect(await statusFrom(`2001:db8::${guess}`, `guess-${guess}`)).toBe(403);
    }
    expect(await statusFrom('2001:db8::ffff', 'one more')).toBe(429);
    expect(await statusFrom('203.0.113.7', 'operator')).toBe(others);
  });
});
