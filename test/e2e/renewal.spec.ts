import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  ForbiddenException,
  HttpException,
  Injectable,
  UnauthorizedException,
} from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  CurrentManager,
  IsolatedGateway,
  IsolationEventBus,
  type IsolationEvents,
  MessageSignal,
  UserExecutionContext,
  type WebSocketIsolationOptions,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, FakeClock, TestClient } from 'nestjs-websocket-isolation/testing';

import { queryAuthenticator, startApp, type TestApp } from '../support/test-app.js';

const HOUR = 3_600_000;

type Renew = (
  context: UserExecutionContext,
  credentials: unknown,
  signal: AbortSignal,
) => ConnectionIdentity | null | Promise<ConnectionIdentity | null>;

let clock: FakeClock;
let first: Partial<ConnectionIdentity>;
let renew: Renew;
let calls: Parameters<Renew>[];

@Injectable()
class Tokens implements ConnectionAuthenticator {
  authenticate(request: { url?: string | undefined }): ConnectionIdentity | null {
    const identity = queryAuthenticator(request);
    return identity && { ...identity, ...first };
  }

  renew(...asked: Parameters<Renew>): ReturnType<Renew> {
    calls.push(asked);
    return renew(...asked);
  }
}

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  constructor(readonly context: UserExecutionContext) {}

  @SubscribeMessage('who')
  who(@CurrentManager() manager: WebSocketManager): unknown {
    const { metadata, expiresAt } = manager;
    const [then, current] = [this.context, UserExecutionContext.current()];
    const isSame = then === current && then === manager.context && Object.isFrozen(then);
    return { event: 'who', data: { now: metadata, before: then.metadata, expiresAt, isSame } };
  }

  @SubscribeMessage('hang')
  hang(@MessageSignal() signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => signal.addEventListener('abort', () => resolve()));
  }
}

let testApp: TestApp;
const clients: TestClient[] = [];
const events: [string, unknown][] = [];

async function start(options: WebSocketIsolationOptions = {}, providers = [Tokens, ChatGateway]) {
  clock = new FakeClock();
  const idle = { staleAfterMs: 30 * HOUR, idleTimeoutMs: 0, disposeTimeoutMs: 1 };
  const heartbeat = { intervalMs: 64 * 30 * HOUR };
  testApp = await startApp({
    providers,
    options: { authenticator: Tokens, clock, cleanup: idle, heartbeat, ...options },
  });
  const bus = testApp.app.get(IsolationEventBus);
  for (const name of ['identity-renewed', 'renewal-refused', 'isolation-violation'] as const) {
    bus.on(name, (details: IsolationEvents[typeof name]) => void events.push([name, details]));
  }
}

async function open(query = 'user=ada&thread=one'): Promise<TestClient> {
  const client = await TestClient.open(testApp.url(`/chat?${query}`));
  clients.push(client);
  return client;
}

const managerOf = (user = 'ada'): WebSocketManager =>
  testApp.app.get(WebSocketManagerFactory).managersOf(user)[0]!;

afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate();
  await testApp.close();
  events.length = 0;
});

beforeEach(() => {
  first = {};
  calls = [];
  renew = () => ({ userId: 'ada' });
});

describe('a client that renews its identity', () => {
  it('gets the new expiry, and its handlers the new metadata at once, while the context stays', async () => {
    await start();
    first = { expiresAt: clock.epoch() + HOUR, metadata: { role: 'guest' } };
    const expiresAt = clock.epoch() + 2 * HOUR;
    renew = () => ({ userId: 'ada', threadId: 'one', expiresAt, metadata: { role: 'admin' } });
    const client = await open();
    expect(await client.ask('renew', { token: 'fresh' }, 7)).toEqual({
      event: 'renewed',
      data: { expiresAt },
      id: 7,
    });
    expect(calls[0]![0].userId).toBe('ada');
    expect(calls[0]![1]).toEqual({ token: 'fresh' });
    expect((await client.ask('who')).data).toEqual({
      now: { role: 'admin' },
      before: { role: 'guest' },
      expiresAt: new Date(expiresAt).toISOString(),
      isSame: true,
    });
    await clock.advance(2 * HOUR - 1);
    expect(client.closeCode).toBeUndefined();
    await clock.advance(1);
    expect(await client.closed()).toBe(4401);
    expect(events.map(([name]) => name)).toEqual(['identity-renewed']);
  });

  it('never expires where the new identity does not', async () => {
    await start();
    first = { expiresAt: clock.epoch() + HOUR };
    const client = await open();
    expect((await client.ask('renew', undefined, 'x')).data).toEqual({ expiresAt: null });
    await clock.advance(20 * HOUR);
    expect((await client.ask('who')).data).not.toHaveProperty('expiresAt');
  });

  it('is served while all of its handlers are busy', async () => {
    await start({ inbound: { concurrency: 1 } });
    const client = await open();
    client.send('hang');
    client.send('who');
    expect((await client.ask('renew', undefined, 1)).event).toBe('renewed');
  });

  it('renews an identity before its connect hook has ended, and without an id', async () => {
    await start();
    const client = await open();
    expect(await client.ask('renew')).toEqual({ event: 'renewed', data: { expiresAt: null } });
  });
});

describe('a renewal that is refused', () => {
  it.each<[string, Renew, number, string]>([
    ['null', () => null, 4401, 'UNAUTHORIZED'],
    ['a promise of null', async () => null, 4401, 'UNAUTHORIZED'],
    ['a falsy value', () => undefined as never, 4401, 'UNAUTHORIZED'],
    [
      'a 401',
      () => {
        throw new UnauthorizedException();
      },
      4401,
      'UNAUTHORIZED',
    ],
    ['an expired identity', () => ({ userId: 'ada', expiresAt: 1 }), 4401, 'UNAUTHORIZED'],
    ['a 403', () => Promise.reject(new ForbiddenException()), 4403, 'FORBIDDEN'],
    ['another user', () => ({ userId: 'bob' }), 4403, 'FORBIDDEN'],
    ['another thread', () => ({ userId: 'ada', threadId: 'two' }), 4403, 'FORBIDDEN'],
  ])('with %s closes the connection', async (_title, answer, closeCode, code) => {
    await start();
    const client = await open();
    renew = answer;
    const refused = await client.ask('renew', {}, 5);
    expect(refused).toMatchObject({ event: 'exception', data: { code, id: 5 } });
    expect(await client.closed()).toBe(closeCode);
    expect(client.messages).toHaveLength(1);
    const refusal = events.find(([name]) => name === 'renewal-refused');
    expect(refusal![1]).toMatchObject({ code: closeCode });
  });

  it('for credentials of another user or thread counts as a violation', async () => {
    await start();
    const client = await open('user=ada');
    renew = () => ({ userId: 'ada', threadId: 'another' });
    client.send('renew');
    expect(await client.closed()).toBe(4403);
    expect(events.map(([name]) => name)).toEqual(['isolation-violation', 'renewal-refused']);
    const { factoryMetrics } = testApp.app.get(WebSocketManagerFactory).getStats();
    expect(factoryMetrics.securityViolationsDetected).toBe(1);
  });

  it.each<[string, Renew, string]>([
    [
      'throws',
      () => {
        throw new Error('no database');
      },
      'INTERNAL_ERROR',
    ],
    ['rejects without a reason', () => Promise.reject(undefined), 'INTERNAL_ERROR'],
    ['returns true', () => true as never, 'INTERNAL_ERROR'],
    ['returns a text', () => 'ada' as never, 'INTERNAL_ERROR'],
    ['returns no user', () => ({}) as never, 'INTERNAL_ERROR'],
    ['returns a promise of a list', async () => [] as never, 'INTERNAL_ERROR'],
    [
      'throws a 429',
      () => {
        throw new HttpException('slow down', 429);
      },
      'TOO_MANY_REQUESTS',
    ],
  ])('because the authenticator %s leaves the identity as it is', async (_title, answer, code) => {
    await start();
    first = { expiresAt: clock.epoch() + HOUR, metadata: { role: 'guest' } };
    const client = await open();
    renew = answer;
    const refused = await client.ask('renew', {}, 5);
    expect(refused).toMatchObject({ event: 'exception', data: { code, id: 5 } });
    expect((await client.ask('who')).data.now).toEqual({ role: 'guest' });
    renew = () => ({ userId: 'ada' });
    expect((await client.ask('renew', {}, 6)).event).toBe('renewed');
  });

  it('because the authenticator hangs ends at the deadline, and the late answer changes nothing', async () => {
    await start({ handshake: { timeoutMs: 5_000 } });
    let answer!: (identity: ConnectionIdentity) => void;
    renew = () => new Promise((resolve) => (answer = resolve));
    const client = await open();
    client.send('renew', {}, 1);
    await eventually(() => expect(calls).toHaveLength(1));
    expect(await client.ask('renew', {}, 2)).toMatchObject({
      event: 'exception',
      data: { code: 'RENEWAL_PENDING', id: 2 },
    });
    await clock.advance(5_000);
    expect(await client.next()).toMatchObject({ data: { code: 'RENEWAL_TIMEOUT', id: 1 } });
    expect(calls[0]![2].aborted).toBe(true);
    answer({ userId: 'bob', metadata: { role: 'admin' } });
    expect((await client.ask('who')).data.now).toEqual({});
    expect(calls).toHaveLength(1);
  });
});

describe('an identity that is about to expire', () => {
  it('is announced once, at handshake.expiryNoticeMs before, by the one timer of the connection', async () => {
    await start();
    await (await open('user=bob')).ask('who');
    // Past the deadlines of the handshakes.
    await clock.advance(60_000);
    const timers = clock.pendingTimers;
    const expiresAt = clock.epoch() + HOUR;
    first = { expiresAt };
    const client = await open();
    await clock.advance(HOUR - 60_001);
    expect(clock.pendingTimers).toBe(timers + 1);
    expect((await client.ask('who')).event).toBe('who');
    await clock.advance(1);
    expect(await client.next()).toEqual({ event: 'expiring', data: { expiresAt } });
    expect(clock.pendingTimers).toBe(timers + 1);
    await clock.advance(60_000);
    expect(await client.closed()).toBe(4401);
    expect(client.messages.filter((message) => message.event === 'expiring')).toHaveLength(1);
  });

  it('is announced again after a renewal, and in the middle of a life that is shorter than the notice', async () => {
    await start();
    first = { expiresAt: clock.epoch() + 30_000 };
    renew = () => ({ userId: 'ada', expiresAt: clock.epoch() + HOUR });
    const client = await open();
    await clock.advance(14_999);
    expect((await client.ask('who')).event).toBe('who');
    await clock.advance(1);
    expect((await client.next()).event).toBe('expiring');
    await client.ask('renew');
    await clock.advance(HOUR - 60_000);
    expect((await client.next()).event).toBe('expiring');
  });

  it.each([
    [
      'the authenticator cannot renew',
      { authenticator: (request: object) => ({ ...queryAuthenticator(request)!, ...first }) },
    ],
    ['handshake.expiryNoticeMs is 0', { handshake: { expiryNoticeMs: 0 } }],
  ])('is not announced where %s', async (_title, options) => {
    await start(options);
    first = { expiresAt: clock.epoch() + HOUR };
    const client = await open();
    await clock.advance(HOUR);
    expect(await client.closed()).toBe(4401);
    expect(client.messages).toEqual([]);
  });
});

describe('the event renew', () => {
  @IsolatedGateway({ path: '/chat' })
  class OwnGateway {
    @SubscribeMessage('renew')
    renew(): unknown {
      return { event: 'subscription renewed' };
    }
  }

  it('is the app’s own where the authenticator cannot renew', async () => {
    await start({ authenticator: queryAuthenticator }, [Tokens, OwnGateway] as never);
    const client = await open();
    expect((await client.ask('renew')).event).toBe('subscription renewed');
  });

  it('is unknown where nothing handles it', async () => {
    await start({ authenticator: queryAuthenticator });
    const client = await open();
    expect((await client.ask('renew', {}, 1)).data.code).toBe('UNKNOWN_EVENT');
  });

  it('renews where the authenticator can, whatever handlers there are', async () => {
    await start({}, [Tokens, OwnGateway] as never);
    const client = await open();
    expect((await client.ask('renew')).event).toBe('renewed');
  });
});

it('a manager keeps the metadata of its last renewal until it is gone', async () => {
  await start();
  renew = () => ({ userId: 'ada', metadata: { role: 'admin' } });
  const client = await open();
  await client.ask('renew');
  const manager = managerOf();
  expect(manager.renewedAt).toEqual(new Date(clock.epoch()));
  await client.close();
  await eventually(() => expect(manager.state).toBe('closed'));
  expect(manager.metadata).toEqual({ role: 'admin' });
});
