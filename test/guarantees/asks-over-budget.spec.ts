import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  IsolatedGateway,
  IsolationEventBus,
  WebSocketEmitter,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import {
  eventually,
  expectNoLeaks,
  FakeClock,
  type TestClient,
} from 'nestjs-websocket-isolation/testing';

import { LiveCount } from '../support/live-count.js';
import { startApp, type TestApp } from '../support/test-app.js';

const KIB = 1_024;
const MIB = 1_024 * KIB;

@IsolatedGateway({ path: '/ask' })
class AskGateway {}

// The clock stands still, so nothing settles because of its own deadline.
describe('A question that exceeds the budget of the process for waiting bytes', () => {
  const clock = new FakeClock();
  let app: TestApp;
  let factory: WebSocketManagerFactory;
  const clients: TestClient[] = [];
  beforeAll(async () => {
    const outbound = { maxBufferedBytes: 64 * MIB, maxBufferedBytesTotal: 8 * MIB };
    app = await startApp({ providers: [AskGateway], options: { clock, outbound } });
    factory = app.app.get(WebSocketManagerFactory);
  });
  afterEach(async () => {
    for (const client of clients.splice(0)) client.terminate();
    await eventually(() => expect(factory.getStats().factoryMetrics.managersActive).toBe(0));
  });
  afterAll(() => app.close());

  async function open(): Promise<TestClient> {
    const client = await app.connect('/ask?user=ada');
    clients.push(client);
    return client;
  }

  /** Opens a connection whose client does not read, and for which nearly all of the budget waits. */
  async function openGreedy(): Promise<WebSocketManager> {
    const { socket } = await open();
    socket.pause();
    const manager = factory.managersOf('ada').find(({ bufferedBytes }) => bufferedBytes === 0)!;
    const piece = 'x'.repeat(64 * KIB);
    while (manager.bufferedBytes < 7.5 * MIB) manager.send('piece', piece);
    expect(manager.isActive).toBe(true);
    return manager;
  }

  const codes: unknown[] = [];
  function follow(asked: Promise<unknown>): void {
    codes.length = 0;
    asked.then(
      () => codes.push('answered'),
      (error: { code?: unknown; message: string }) => codes.push(error.code ?? error.message),
    );
  }

  const data = 'x'.repeat(MIB);
  type Ask = (manager: WebSocketManager) => Promise<unknown>;
  it.each<[string, string, Ask]>([
    ['manager.ask()', 'MANAGER_CLOSED', (manager) => manager.ask('sure?', data)],
    [
      'toUser().ask()',
      'NO_RECEIVER',
      () => app.app.get(WebSocketEmitter).toUser('ada').ask('sure?', data),
    ],
  ])('ends with its connection: %s rejects with %s', async (_name, code, ask) => {
    const { asks } = factory.bookkeeping;
    const live = new LiveCount();
    // Keeps nothing of the connection.
    const askGreedy = async (): Promise<void> => {
      const manager = await openGreedy();
      live.watch(manager);
      follow(ask(manager));
      expect(manager.isActive).toBe(false);
    };
    await askGreedy();
    await eventually(() => expect(codes).toEqual([code]));
    expect(asks).toMatchObject({ size: 0, asked: 0 });
    expect([...asks.managers()]).toEqual([]);
    for (const client of clients.splice(0)) client.terminate();
    await expectNoLeaks(app.app);
    await eventually(async () => expect(await live.alive()).toBe(0));
  });

  it('is open on no connection when a listener of that end aborts it', async () => {
    const { asks } = factory.bookkeeping;
    const greedy = await openGreedy();
    await open();
    const controller = new AbortController();
    const release = app.app
      .get(IsolationEventBus)
      .on('slow-consumer', () => controller.abort(new Error('one has left')));
    const { signal } = controller;
    follow(app.app.get(WebSocketEmitter).toUser('ada').ask('sure?', data, { signal }));
    release();
    expect(greedy.isActive).toBe(false);
    await eventually(() => expect(codes).toEqual(['one has left']));
    expect(asks).toMatchObject({ size: 0, asked: 0 });
  });

  it('is reported as dropped where a message does the same', async () => {
    const manager = await openGreedy();
    expect(manager.send('sure?', data)).toEqual({ dropped: 'slow-consumer' });
    await openGreedy();
    const report = app.app.get(WebSocketEmitter).toUser('ada').send('sure?', data);
    expect(report).toEqual({ sent: 0, queued: 0, dropped: 1 });
  });
});

describe('A connection that has answered', () => {
  it('is not kept for its questions', async () => {
    const app = await startApp({ providers: [AskGateway] });
    const client = await app.connect('/ask?user=ada');
    const manager = app.app.get(WebSocketManagerFactory).managersOf('ada')[0]!;
    const { asks } = app.app.get(WebSocketManagerFactory).bookkeeping;
    const asked = manager.ask('sure?');
    client.answer(await client.next('sure?'), 'yes');
    expect(await asked).toBe('yes');
    expect([...asks.managers()]).toEqual([]);
    await app.close();
  });
});
