import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, type OnApplicationShutdown, type OnModuleDestroy } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  UserExecutionContext,
  type WebSocketIsolationOptions,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import {
  eventually,
  FakeClock,
  TestClient,
  type UpgradeRefused,
} from 'nestjs-websocket-isolation/testing';

import { ManagerRegistry } from '../../src/manager/manager-registry.js';
import { sayGoodbye } from '../../src/shutdown/goodbyes.js';
import { ServerProcess } from '../support/server-process.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** The number of connections. `DRAIN=10000` for more. */
const CONNECTIONS = Number(process.env['DRAIN'] ?? 2_000);
const AT_ONCE = 100;
/** Long enough for slow machines: a client that is cut at the deadline would get 1006. */
const DEADLINE_MS = 300_000;

let server: ServerProcess | undefined;
afterEach(async () => {
  await server?.kill();
  server = undefined;
});

describe(`${CONNECTIONS} connections drained by SIGTERM`, () => {
  it('all close with 1001, and every disposer runs before its dependencies close', async () => {
    server = await ServerProcess.start({
      limits: { maxManagers: CONNECTIONS },
      shutdown: { deadlineMs: DEADLINE_MS },
      // The process is full, so cleanup pings silent connections: a busy client may take long to answer.
      cleanup: {
        closeTimeoutMs: DEADLINE_MS,
        disposeTimeoutMs: DEADLINE_MS,
        probeTimeoutMs: DEADLINE_MS,
      },
      heartbeat: { timeoutMs: DEADLINE_MS },
    });
    const url = server.url.bind(server);
    const clients: TestClient[] = [];
    for (let start = 0; start < CONNECTIONS; start += AT_ONCE) {
      const users = Array.from({ length: AT_ONCE }, (_, index) => `user-${start + index}`);
      clients.push(...(await Promise.all(users.map((user) => TestClient.open(url(user))))));
    }

    server.signal('SIGTERM');
    const { code, signal, stderr } = await server.ended();
    // Nest raises the signal again after its hooks.
    expect({ code, signal, stderr }).toEqual({ code: null, signal: 'SIGTERM', stderr: '' });
    expect(server.said).toEqual([
      {
        connected: CONNECTIONS,
        disconnected: CONNECTIONS,
        disposed: CONNECTIONS,
        tooLate: 0,
        codes: { 1001: CONNECTIONS },
      },
    ]);
    await Promise.all(clients.map((client) => client.closed()));
    const codes = new Set(clients.map(({ closeCode }) => closeCode));
    expect(codes).toEqual(new Set([1001]));
  });
});

const story: string[] = [];
let release!: () => void;
/** Releases the waiting disposers. */
const releases: (() => void)[] = [];

/** A provider that connections need until they have ended. */
@Injectable()
class Database implements OnModuleDestroy, OnApplicationShutdown {
  onModuleDestroy(): void {
    story.push('onModuleDestroy of the application');
  }
  onApplicationShutdown(): void {
    story.push('onApplicationShutdown of the application');
  }
}

@IsolatedGateway({ path: '/drain' })
class DrainGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
    readonly database: Database,
  ) {}

  handleConnection(): void {
    this.manager.signal.addEventListener('abort', () => story.push('signal aborted'));
    this.manager.onDispose(async () => {
      await new Promise<void>((resolve) => releases.push((release = resolve)));
      story.push('disposer');
    });
  }

  handleDisconnect(): void {
    story.push('handleDisconnect');
  }

  [Symbol.asyncDispose](): Promise<void> {
    story.push('instance of the connection');
    return Promise.resolve();
  }
}

describe('a drain', () => {
  it('refuses with 503, ends connections in order, and then ends the application', async () => {
    story.length = 0;
    const testApp = await startApp({ providers: [DrainGateway, Database] });
    const client = await TestClient.open(testApp.url('/drain?user=ada'));
    const closing = testApp.close();
    expect(await client.closed()).toBe(1001);
    await eventually(() => expect(story).toEqual(['signal aborted', 'handleDisconnect']));
    const refused = await TestClient.open(testApp.url('/drain?user=late')).then(
      () => undefined,
      (error: UpgradeRefused) => error,
    );
    expect([refused?.status, refused?.headers['retry-after']]).toEqual([
      503,
      expect.stringMatching(/^([5-9]|10)$/),
    ]);
    await eventually(() => release());
    await closing;
    expect(story).toEqual([
      'signal aborted',
      'handleDisconnect',
      'disposer',
      'instance of the connection',
      'onModuleDestroy of the application',
      'onApplicationShutdown of the application',
    ]);
  });

  it.each([
    ['101 connections', 101, false, 10_000],
    ['a connection whose disposer hangs', 1, true, 100],
  ])('does not need a fake clock to advance: %s', async (_name, count, hangs, deadlineMs) => {
    story.length = 0;
    const testApp = await startApp({
      providers: [DrainGateway, Database],
      options: {
        clock: new FakeClock(),
        limits: { maxManagersPerUser: count },
        shutdown: { deadlineMs },
      },
    });
    const clients = await Promise.all(
      Array.from({ length: count }, () => TestClient.open(testApp.url('/drain?user=ada'))),
    );
    const closing = testApp.close();
    const letGo = async (): Promise<void> => {
      await eventually(() => {
        for (const one of releases.splice(0)) one();
        expect(story.filter((line) => line === 'disposer')).toHaveLength(count);
      });
    };
    await Promise.all([closing, ...(hangs ? [] : [letGo()])]);
    await Promise.all(clients.map((client) => client.closed()));
    expect(new Set(clients.map(({ closeCode }) => closeCode))).toEqual(new Set([1001]));
  });

  it('does not wait longer than its deadline for hanging disposers', async () => {
    story.length = 0;
    const testApp = await startApp({
      providers: [DrainGateway, Database],
      options: { shutdown: { deadlineMs: 100 }, cleanup: { disposeTimeoutMs: 60_000 } },
    });
    const client = await TestClient.open(testApp.url('/drain?user=ada'));
    await testApp.close();
    expect(await client.closed()).toBe(1001);
    expect(story).toEqual([
      'signal aborted',
      'handleDisconnect',
      'onModuleDestroy of the application',
      'onApplicationShutdown of the application',
    ]);
    release();
  });

  it('cuts a client that never replies to the close frame', async () => {
    story.length = 0;
    const testApp = await startApp({
      providers: [DrainGateway, Database],
      options: { cleanup: { closeTimeoutMs: 50 } },
    });
    const client = await TestClient.open(testApp.url('/drain?user=ada'));
    client.socket.pause();
    const closing = testApp.close();
    await eventually(() => {
      expect(story.filter((line) => line === 'handleDisconnect')).toHaveLength(1);
      release();
    });
    await closing;
    client.terminate();
  });
});

@IsolatedGateway({ path: '/drain' })
class EchoGateway {
  @SubscribeMessage('echo')
  echo(): unknown {
    return { event: 'echo', data: null };
  }
}

async function isServed(client: TestClient): Promise<void> {
  client.send('echo', null);
  await client.next('echo');
}

describe('A drain with spreadMs', () => {
  const COUNT = 40;
  let testApp: TestApp;
  let clients: TestClient[];
  afterEach(async () => {
    for (const client of clients) client.terminate();
    await testApp.close();
  });

  async function start(
    spreadMs: number,
    handshake: WebSocketIsolationOptions['handshake'] = {},
  ): Promise<WebSocketManager[]> {
    testApp = await startApp({
      providers: [EchoGateway],
      options: { handshake, shutdown: { spreadMs, deadlineMs: DEADLINE_MS } },
    });
    const users = Array.from({ length: COUNT }, (_, index) => `user-${index}`);
    clients = await Promise.all(
      users.map((user) => TestClient.open(testApp.url(`/drain?user=${user}`))),
    );
    return [...testApp.app.get(ManagerRegistry, { strict: false }).all()];
  }

  it.each([
    ['one by one', 60_000, 1],
    ['in groups, where there are more than timers can take', 100, 10],
  ])('closes connections evenly over the time: %s', async (_name, spreadMs, batch) => {
    const managers = await start(0);
    const told = (): number => managers.filter(({ isActive }) => !isActive).length;
    const clock = new FakeClock();
    const ended = sayGoodbye(clock, managers, { spreadMs, deadlineMs: 1 });
    expect(told()).toBe(batch);
    for (let due = batch; due <= COUNT; due += batch) {
      await clock.advance((spreadMs * batch) / COUNT);
      expect([due, Math.min(due + batch, COUNT)]).toContain(told());
    }
    await ended;
    expect(clock.pendingTimers).toBe(0);
    expect(await Promise.all(clients.map((client) => client.closed()))).toEqual(
      Array.from({ length: COUNT }, () => 1001),
    );
    const reasons = clients.map(
      ({ closeReason }) => JSON.parse(closeReason!) as { reason: string; retryAfterMs: number },
    );
    expect(new Set(reasons.map(({ reason }) => reason))).toEqual(new Set(['draining']));
    const times = reasons.map(({ retryAfterMs }) => retryAfterMs);
    expect(Math.min(...times)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...times)).toBeLessThanOrEqual(1_000);
    // Each is drawn for itself.
    expect(new Set(times).size).toBeGreaterThan(COUNT / 2);
  });

  it.each([
    ['close', 1013],
    ['close-behind-proxy', 503],
  ] as const)('refuses newcomers with rejectWith %j with %d', async (rejectWith, expected) => {
    await start(86_400_000, { rejectWith });
    const closing = testApp.close();
    await eventually(() => expect(clients.some(({ closeCode }) => closeCode)).toBe(true));
    const late = TestClient.open(testApp.url('/drain?user=late'));
    const outcome = await late.then(
      (client) => client.closed(),
      ({ status }: UpgradeRefused) => status,
    );
    expect(outcome).toBe(expected);
    for (const client of clients) client.terminate();
    await closing;
  });

  it('serves those who stay, refuses newcomers, and ends when the last client has left by itself', async () => {
    await start(86_400_000);
    const closing = testApp.close();
    await eventually(() => expect(clients.filter(({ closeCode }) => closeCode)).toHaveLength(1));
    const staying = clients.filter(({ closeCode }) => closeCode === undefined);
    await Promise.all(staying.map(isServed));
    const late = TestClient.open(testApp.url('/drain?user=late'));
    await expect(late).rejects.toMatchObject({ status: 503 });
    for (const client of staying) client.terminate();
    await closing;
  });
});
