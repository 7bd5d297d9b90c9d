import { getEventListeners } from 'node:events';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  IsolationEventBus,
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

/** As many as one connection may have open by default. */
const ASKS = 100;
/** Of them, asked inside of handlers that await the answer. */
const BY_HANDLERS = 10;

/** What has become of the questions. */
interface Settled {
  readonly codes: unknown[];
  /** How many had settled one turn of the event loop after the first. */
  inOneTurn: number | undefined;
}
let settled: Settled;
let live: LiveCount;

function follow(asked: Promise<unknown>): void {
  live.watch(asked);
  asked.then(
    () => settled.codes.push('answered'),
    (error: { code?: unknown }) => {
      live.watch(error);
      settled.codes.push(error.code);
      if (settled.codes.length > 1) return;
      void nextTurn().then(() => (settled.inOneTurn = settled.codes.length));
    },
  );
}

@IsolatedGateway({ path: '/ask' })
class AskGateway {
  @SubscribeMessage('go')
  async go(@CurrentManager() manager: WebSocketManager): Promise<void> {
    const asked = manager.ask('sure?');
    follow(asked);
    await asked;
  }
}

type End = (
  client: TestClient,
  manager: WebSocketManager,
  factory: WebSocketManagerFactory,
) => unknown;
const ENDS: [string, End][] = [
  ['is cut', (client) => client.terminate()],
  ['is closed by the client', (client) => client.socket.close()],
  ['is closed by the server', (_client, manager) => void manager.close()],
  ['is disposed of', (_client, _manager, factory) => void factory.cleanupUser('ada')],
];

describe(`${ASKS} open questions`, () => {
  const clock = new FakeClock();
  let app: TestApp;
  let factory: WebSocketManagerFactory;
  let ended: string[] = [];
  beforeAll(async () => {
    app = await startApp({ providers: [AskGateway], options: { clock } });
    factory = app.app.get(WebSocketManagerFactory);
    app.app.get(IsolationEventBus).on('ask-ended', ({ outcome }) => void ended.push(outcome));
    // The timers of the process, such as the heartbeat's, start with the first connection.
    const first = await app.connect('/ask?user=first');
    await first.close();
    await expectNoLeaks(app.app);
  });
  afterAll(() => app.close());
  beforeEach(() => {
    settled = { codes: [], inOneTurn: undefined };
    live = new LiveCount();
    ended = [];
  });

  /** Asks on a new connection, and ends it. Keeps nothing of the connection. */
  async function askAndEnd(end: End, signal: AbortSignal): Promise<void> {
    const client = await app.connect('/ask?user=ada');
    const manager = factory.managersOf('ada')[0]!;
    live.watch(manager);
    const idleTimers = clock.pendingTimers;
    for (let count = 0; count < BY_HANDLERS; count += 1) client.send('go', undefined, count);
    await eventually(() => expect(manager.openAsks).toHaveLength(BY_HANDLERS));
    for (let count = BY_HANDLERS; count < ASKS; count += 1) {
      follow(manager.ask('sure?', { count }, { signal }));
    }
    await eventually(() => expect(client.messages).toHaveLength(ASKS));
    expect(manager.openAsks).toHaveLength(ASKS);
    expect(factory.bookkeeping.asks).toMatchObject({ size: ASKS, asked: ASKS });
    expect(clock.pendingTimers).toBeGreaterThan(idleTimers);
    expect(settled.codes).toEqual([]);
    await end(client, manager, factory);
    await client.closed();
  }

  // The clock stands still, so nothing settles because of its own deadline.
  it.each(ENDS)('are all rejected at once when the connection %s', async (_name, end) => {
    const timers = clock.pendingTimers;
    const { signal } = new AbortController();
    await askAndEnd(end, signal);
    await eventually(() => expect(settled.codes).toHaveLength(ASKS));
    expect(settled.codes).toEqual(Array.from({ length: ASKS }, () => 'MANAGER_CLOSED'));
    await eventually(() => expect(settled.inOneTurn).toBe(ASKS));
    expect(ended).toEqual(Array.from({ length: ASKS }, () => 'unreachable'));

    expect(factory.bookkeeping.asks).toMatchObject({ size: 0, asked: 0 });
    expect(getEventListeners(signal, 'abort')).toEqual([]);
    await eventually(() => expect(clock.pendingTimers).toBe(timers));
    await expectNoLeaks(app.app);
    expect(live.watched).toBe(2 * ASKS + 1);
    await eventually(async () => expect(await live.alive()).toBe(0));
  });
});
