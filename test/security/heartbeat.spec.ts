import { afterEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  LeakDetector,
  UserExecutionContext,
  WebSocketManager,
  type WebSocketIsolationOptions,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, FakeClock, TestClient } from 'nestjs-websocket-isolation/testing';

import { activeTimers } from '../support/live-count.js';
import { closeFrames, frame, RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { startApp, type TestApp } from '../support/test-app.js';

const disposed: string[] = [];

@IsolatedGateway({ path: '/beat' })
class BeatGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
  ) {}

  handleConnection(): void {
    this.manager.onDispose(({ code, initiator }) => disposed.push(`${code} ${initiator}`));
  }

  @SubscribeMessage('hi') hi(): unknown {
    return { event: 'hi' };
  }
}

let clock: FakeClock;
const options = (): WebSocketIsolationOptions => ({
  clock: (clock = new FakeClock()),
  heartbeat: { intervalMs: 640, timeoutMs: 800 },
});
/** The time after which a missing pong is overdue. */
const OVERDUE_MS = 2_000;
const STEP_MS = 100;

let testApp: TestApp;
afterEach(async () => {
  await testApp.close();
  disposed.length = 0;
});

async function openRaw(user: string): Promise<RawSocket> {
  const raw = await RawSocket.open(testApp.port);
  raw.write(upgradeRequest(`/beat?user=${user}`));
  await eventually(() => expect(raw.status).toBe(101));
  return raw;
}

const ledger = (): unknown => testApp.app.get(LeakDetector).getReport().ledger;

describe('a peer that replies to no ping', () => {
  it('is closed with 4443 and cut, while others stay open', async () => {
    testApp = await startApp({ providers: [BeatGateway], options: options() });
    const other = await TestClient.open(testApp.url('/beat?user=other'));
    const silent = await openRaw('silent');
    const [manager] = testApp.app.get(WebSocketManagerFactory).managersOf('other');
    for (let passedMs = 0; passedMs < OVERDUE_MS; passedMs += STEP_MS) {
      await clock.advance(STEP_MS);
      // The pong of the other client has arrived.
      await eventually(() => expect(manager!.pingedAt).toBe(0));
    }
    await eventually(() => expect(closeFrames(silent.bytes)).toEqual([4443]));
    // The silent peer does not reply to the close frame either.
    await clock.advance(60_000);
    await eventually(() => expect(silent.isClosed).toBe(true));
    expect(disposed).toEqual(['4443 cleanup']);
    expect(await other.ask('hi')).toEqual({ event: 'hi' });
    expect(ledger()).toMatchObject({ active: 1 });
    other.terminate();
  });

  it('but sends messages is alive', async () => {
    testApp = await startApp({ providers: [BeatGateway], options: options() });
    const talking = await openRaw('talking');
    for (let passedMs = 0; passedMs < 2 * OVERDUE_MS; passedMs += STEP_MS) {
      const before = talking.bytes.length;
      talking.write(frame('{"event":"hi"}'));
      await eventually(() => expect(talking.bytes.length).toBeGreaterThan(before));
      await clock.advance(STEP_MS);
    }
    expect(closeFrames(talking.bytes)).toEqual([]);
    talking.destroy();
  });
});

describe('the heartbeat', () => {
  it('has no timer per connection', async () => {
    testApp = await startApp({ providers: [BeatGateway], options: options() });
    const first = await TestClient.open(testApp.url('/beat?user=first'));
    await first.ask('hi');
    const timers = activeTimers();
    const more = await Promise.all(
      Array.from({ length: 100 }, (_, user) =>
        TestClient.open(testApp.url(`/beat?user=user-${user}`)),
      ),
    );
    for (const client of more) expect(await client.ask('hi')).toEqual({ event: 'hi' });
    // The shared timer of the handshakes runs for a while longer.
    expect(activeTimers()).toBeLessThanOrEqual(timers + 1);
    for (const client of [first, ...more]) client.terminate();
  });
});
