import { afterEach, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  type WebSocketIsolationOptions,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { keepAsking } from '../support/keep-asking.js';
import { ServerProcess } from '../support/server-process.js';
import { startApp, type TestApp } from '../support/test-app.js';

const KIB = 1_024;
const MIB = 1_024 * KIB;

const clients: TestClient[] = [];
function keep(client: TestClient): TestClient {
  clients.push(client);
  return client;
}
afterEach(() => {
  for (const client of clients.splice(0)) client.terminate();
});

describe('400 connections whose handlers are slower than their clients, in a process with a heap of 64 MiB', () => {
  const CONNECTIONS = 400;
  const MESSAGES = 300;
  let server: ServerProcess;
  afterEach(() => server.kill());

  it('do not end the process, and other connections are served', async () => {
    const options: WebSocketIsolationOptions = {
      limits: { maxManagersPerUser: CONNECTIONS },
      inbound: { concurrency: 1 },
    };
    server = await ServerProcess.start(options, ['--max-old-space-size=64']);
    const url = server.url('busy');
    const busy = await Promise.all(
      Array.from({ length: CONNECTIONS }, () => TestClient.open(url).then(keep)),
    );
    const stopAsking = keepAsking(keep(await TestClient.open(server.url('control'))));

    for (const client of busy) {
      for (let sent = 0; sent < MESSAGES; sent += 1) client.send('hang', 'x'.repeat(KIB));
    }
    const control = keep(await TestClient.open(server.url('late')));
    for (let asked = 0; asked < 100; asked += 1) {
      control.send('echo', asked);
      expect(await control.next('echo')).toEqual({ event: 'echo', data: asked });
    }
    expect(await stopAsking()).toBeGreaterThan(0);
    expect(server.hasEnded).toBe(false);
    // The memory in use is far below the 117 MiB that were sent.
    expect((await server.call('memory')).used).toBeLessThan(64 * MIB);
  });
});

let release!: () => void;
let released = new Promise<void>((resolve) => (release = resolve));
const handled: Record<string, number> = {};

@IsolatedGateway({ path: '/work' })
class WorkGateway {
  @SubscribeMessage('work') async work(@CurrentManager() manager: WebSocketManager): Promise<void> {
    await released;
    const { userId } = manager.context;
    handled[userId] = (handled[userId] ?? 0) + 1;
  }

  @SubscribeMessage('echo') echo(@MessageBody() data: unknown): unknown {
    return { event: 'echo', data };
  }
}

describe('The budget of all connections of a process', () => {
  let testApp: TestApp;
  afterEach(async () => {
    release();
    for (const client of clients) client.terminate();
    await testApp.close();
    released = new Promise((resolve) => (release = resolve));
    for (const user of Object.keys(handled)) delete handled[user];
  });

  async function start(options: WebSocketIsolationOptions): Promise<void> {
    testApp = await startApp({ providers: [WorkGateway], options });
  }

  async function open(user: string): Promise<TestClient> {
    return keep(await TestClient.open(testApp.url(`/work?user=${user}`)));
  }

  const factory = (): WebSocketManagerFactory => testApp.app.get(WebSocketManagerFactory);

  const isPaused = (user: string): boolean | undefined =>
    factory().managersOf(user)[0]?.isReadingPaused;

  describe('for messages that wait for a handler', () => {
    it('closes the connection that holds most of it with 1013, and loses no message of others', async () => {
      await start({ inbound: { concurrency: 1, maxPendingBytesTotal: 64 * KIB } });
      const modest = await Promise.all(['ada', 'bob', 'eve'].map(open));
      for (const client of modest) {
        for (let sent = 0; sent < 11; sent += 1) client.send('work', 'x'.repeat(KIB));
        client.send('echo');
      }
      const greedy = await open('max');
      greedy.send('work');
      greedy.send('work', 'x'.repeat(60 * KIB));

      await greedy.closed();
      expect(greedy.closeCode).toBe(1013);
      const { retryAfterMs, ...rest } = JSON.parse(greedy.closeReason!) as { retryAfterMs: number };
      expect(rest).toEqual({});
      // Drawn at random, so that clients that were closed together do not come back together.
      expect(retryAfterMs).toBeGreaterThanOrEqual(5_000);
      expect(retryAfterMs).toBeLessThanOrEqual(10_000);
      release();
      for (const client of modest) await client.next('echo');
      expect(handled).toMatchObject({ ada: 11, bob: 11, eve: 11 });
    });

    it('pauses reading earlier on connections that hold more than their share', async () => {
      await start({ inbound: { concurrency: 1, maxPendingBytesTotal: 256 * KIB } });
      const users = ['ada', 'bob', 'eve', 'max'];
      const busy = await Promise.all(users.map(open));
      // Together more than half of the budget, but each far below the 256 KiB at which a single connection is paused.
      for (const client of busy) {
        for (let sent = 0; sent < 40; sent += 1) client.send('work', 'x'.repeat(KIB));
      }
      await eventually(() => expect(users.some(isPaused)).toBe(true));

      release();
      for (const client of busy) client.send('echo');
      for (const client of busy) await client.next('echo');
      expect(handled).toEqual({ ada: 40, bob: 40, eve: 40, max: 40 });
      expect(users.some(isPaused)).toBe(false);
    });
  });

  it('for slow readers cuts the connection with the most buffered bytes, and no other', async () => {
    await start({ outbound: { maxBufferedBytes: 64 * MIB, maxBufferedBytesTotal: 8 * MIB } });
    const [ada, max] = [await open('ada'), await open('max')];
    for (const client of [ada, max]) client.socket.pause();
    const [modest, greedy] = [factory().managersOf('ada')[0]!, factory().managersOf('max')[0]!];
    const piece = 'x'.repeat(64 * KIB);
    while (modest.bufferedBytes < MIB) modest.send('piece', piece);
    while (greedy.isActive) greedy.send('piece', piece);

    expect(greedy.send('piece', piece)).toEqual({ dropped: 'closed' });
    await eventually(() => expect(greedy.state).toBe('closed'));
    expect(greedy.closeReason).toMatchObject({ code: 4441, initiator: 'server' });
    expect(modest.isActive).toBe(true);
    ada.socket.resume();
    modest.send('last');
    await ada.next('last');
  });
});
