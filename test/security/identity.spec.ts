import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Param, Post } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  type ConnectionIdentity,
  IsolatedGateway,
  LeakDetector,
  UserExecutionContext,
  type WebSocketIsolationOptions,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { TrafficCounters } from '../../src/connection/traffic-counters.js';
import { FakeClock } from '../../src/testing/fake-clock.js';
import { SettableClock } from '../support/settable-clock.js';
import { startApp, type TestApp } from '../support/test-app.js';

const hooks: string[] = [];
let connecting: Promise<void> | undefined;

@IsolatedGateway({ path: '/identity' })
class IdentityGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
  ) {}

  async handleConnection(): Promise<void> {
    hooks.push('connecting');
    await connecting;
    hooks.push(`connected while ${this.manager.state}`);
  }

  @SubscribeMessage('hi') hi(): unknown {
    return { event: 'hi' };
  }
}

/** A controller of the app through which users sign out. */
@Controller('users')
class LogoutController {
  constructor(private readonly factory: WebSocketManagerFactory) {}

  @Post(':user/logout')
  logout(@Param('user') user: string): Promise<number> {
    return this.factory.disconnectUser(user, { reason: 'signed out' });
  }

  @Post(':user/:thread/close')
  close(@Param('user') user: string, @Param('thread') thread: string): Promise<number> {
    return this.factory.disconnectThread(user, thread, { code: 4403 });
  }
}

let testApp: TestApp;
const clients: TestClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate();
  await testApp.close();
  hooks.length = 0;
  connecting = undefined;
});

async function start(options: WebSocketIsolationOptions = {}): Promise<void> {
  const providers = [IdentityGateway];
  testApp = await startApp({ providers, controllers: [LogoutController], options });
}

async function open(query: string): Promise<TestClient> {
  const client = await TestClient.open(testApp.url(`/identity?${query}`));
  clients.push(client);
  return client;
}

async function post(path: string): Promise<number> {
  const response = await fetch(testApp.url(`/users/${path}`).replace('ws:', 'http:'), {
    method: 'POST',
  });
  return Number(await response.text());
}

describe('an identity with an end', () => {
  const DAY = 86_400_000;

  it.each([
    ['a moment', 1_000],
    ['thirty days, longer than a timer of Node can wait', 30 * DAY],
  ])('that is %s away closes with 4401 at that time, and not before', async (_name, lifetimeMs) => {
    const clock = new FakeClock();
    const authenticator = (): ConnectionIdentity => ({
      userId: 'ada',
      expiresAt: clock.epoch() + lifetimeMs,
    });
    const never = { staleAfterMs: 60 * DAY, idleTimeoutMs: 0 };
    const heartbeat = { intervalMs: 64 * 60 * DAY };
    await start({ authenticator, clock, cleanup: never, heartbeat });
    const client = await open('');
    expect(await client.ask('hi')).toEqual({ event: 'hi' });
    await clock.advance(lifetimeMs - 1);
    expect(await client.ask('hi')).toEqual({ event: 'hi' });
    await clock.advance(1);
    expect(await client.closed()).toBe(4401);
    expect(client.closeReason).toBe('identity expired');
  });
});

const ignored = (): number => testApp.app.get(TrafficCounters, { strict: false }).ignored.closing;

describe('an identity that expires without a timer', () => {
  const HOUR = 3_600_000;

  async function startExpiring(lifetimeMs: number): Promise<SettableClock> {
    const clock = new SettableClock();
    const authenticator = (): ConnectionIdentity => ({
      userId: 'ada',
      expiresAt: clock.epoch() + lifetimeMs,
    });
    await start({ authenticator, clock, heartbeat: { intervalMs: 1_000, timeoutMs: HOUR } });
    return clock;
  }

  it.each([
    ['the process slept past its end', (clock: SettableClock) => clock.jump(HOUR)],
    ['the wall clock was set forward', (clock: SettableClock) => void (clock.setByMs = HOUR)],
  ])('handles no more messages if %s', async (_name, pass) => {
    const clock = await startExpiring(HOUR);
    const client = await open('');
    expect(await client.ask('hi')).toEqual({ event: 'hi' });
    pass(clock);
    client.send('hi');
    expect(await client.closed()).toBe(4401);
    expect(ignored()).toBe(1);
  });

  it('handles no message that waited for the connect hook', async () => {
    let proceed!: () => void;
    connecting = new Promise((resolve) => (proceed = resolve));
    const clock = await startExpiring(HOUR);
    const client = await open('');
    client.send('hi');
    await eventually(() =>
      expect(testApp.app.get(TrafficCounters, { strict: false }).received).toBe(1),
    );
    clock.jump(HOUR);
    proceed();
    expect(await client.closed()).toBe(4401);
    expect(ignored()).toBe(1);
  });

  it('is detected by the heartbeat if no message arrives', async () => {
    const clock = await startExpiring(HOUR);
    const client = await open('');
    await client.ask('hi');
    clock.setByMs = HOUR;
    await clock.advance(1_100);
    expect(await client.closed()).toBe(4401);
  });

  it('stays valid if the wall clock was set back, until its end by that clock', async () => {
    const clock = await startExpiring(1_000);
    const client = await open('');
    clock.setByMs = -5_000;
    await clock.advance(1_500);
    expect(await client.ask('hi')).toEqual({ event: 'hi' });
    await clock.advance(5_000);
    expect(await client.closed()).toBe(4401);
  });
});

describe('a user who signs out', () => {
  it('loses all connections at once, and other users lose none', async () => {
    await start();
    const own = await Promise.all([open('user=ada&thread=a'), open('user=ada&thread=b')]);
    const other = await open('user=bob&thread=a');
    expect(await post('ada/logout')).toBe(2);
    expect(await Promise.all(own.map((client) => client.closed()))).toEqual([4401, 4401]);
    expect(own.map(({ closeReason }) => closeReason)).toEqual(['signed out', 'signed out']);
    expect(await other.ask('hi')).toEqual({ event: 'hi' });
    expect(await post('ada/logout')).toBe(0);
  });

  it('of one thread loses the connections of that thread', async () => {
    await start();
    const tea = await Promise.all([open('user=ada&thread=tea'), open('user=ada&thread=tea')]);
    const coffee = await open('user=ada&thread=coffee');
    const foreign = await open('user=bob&thread=tea');
    expect(await post('ada/tea/close')).toBe(2);
    expect(await Promise.all(tea.map((client) => client.closed()))).toEqual([4403, 4403]);
    for (const client of [coffee, foreign]) expect(await client.ask('hi')).toEqual({ event: 'hi' });
  });

  it('while the connect hook runs, is disconnected, and the hook is awaited', async () => {
    let proceed!: () => void;
    connecting = new Promise((resolve) => (proceed = resolve));
    await start();
    const client = await open('user=ada');
    client.send('hi');
    await eventually(() => expect(hooks).toEqual(['connecting']));
    const loggingOut = post('ada/logout');
    expect(await client.closed()).toBe(4401);
    proceed();
    expect(await loggingOut).toBe(1);
    expect(hooks).toEqual(['connecting', 'connected while closing']);
    expect(client.messages).toEqual([]);
    expect(testApp.app.get(LeakDetector).getReport().ledger).toMatchObject({ active: 0 });
  });
});

describe('ids', () => {
  it('of connections cannot be guessed: no two of 10,000 share their random part', async () => {
    await start();
    const ids = Array.from({ length: 10_000 }, () => {
      const context = UserExecutionContext.fromWebSocketRequest({ userId: 'ada' });
      return context.connectionId;
    });
    // At least 80 bits of an id are random: 16 characters of base 32.
    expect(new Set(ids.map((id) => id.slice(-16))).size).toBe(10_000);
    for (const position of [-1, -4, -8, -12, -16]) {
      expect(new Set(ids.map((id) => id.at(position))).size).toBeGreaterThanOrEqual(16);
    }
  });
});
