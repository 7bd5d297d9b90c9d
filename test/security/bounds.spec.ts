import { afterEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  UserExecutionContext,
  type WebSocketIsolationOptions,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { TrafficCounters } from '../../src/connection/traffic-counters.js';
import { UserRates } from '../../src/connection/user-rates.js';
import { FakeClock } from '../../src/testing/fake-clock.js';
import { startApp, type TestApp } from '../support/test-app.js';

const running = { now: 0, most: 0, started: 0 };
let release!: () => void;
let released!: Promise<void>;
function hold(): void {
  released = new Promise((resolve) => (release = resolve));
  Object.assign(running, { now: 0, most: 0, started: 0 });
}
hold();

@IsolatedGateway({ path: '/bounds' })
class BoundsGateway {
  constructor(readonly context: UserExecutionContext) {}

  @SubscribeMessage('work') async work(): Promise<void> {
    running.started += 1;
    running.now += 1;
    running.most = Math.max(running.most, running.now);
    await released;
    running.now -= 1;
  }

  @SubscribeMessage('hi') hi(): unknown {
    return { event: 'hi' };
  }
}

let testApp: TestApp;
const clients: TestClient[] = [];
afterEach(async () => {
  release();
  for (const client of clients.splice(0)) client.terminate();
  await testApp.close();
  hold();
});

async function start(options: WebSocketIsolationOptions): Promise<void> {
  testApp = await startApp({ providers: [BoundsGateway], options });
}

async function open(user = 'ada'): Promise<TestClient> {
  const client = await TestClient.open(testApp.url(`/bounds?user=${user}`));
  clients.push(client);
  return client;
}

const traffic = (): TrafficCounters => testApp.app.get(TrafficCounters, { strict: false });

function send(client: TestClient, event: string, times: number): void {
  for (let sent = 0; sent < times; sent += 1) client.send(event);
}

describe('handlers of a connection', () => {
  it('run at most 16 at once for any number of messages, and all of them run in the end', async () => {
    await start({});
    const client = await open();
    send(client, 'work', 5_000);
    await eventually(() => expect(traffic().received).toBeGreaterThan(1_000));
    expect(running).toEqual({ now: 16, most: 16, started: 16 });
    release();
    await eventually(() => expect(running).toEqual({ now: 0, most: 16, started: 5_000 }));
  });

  it('wait up to a bound in bytes, and an excess closes with 1008', async () => {
    await start({ inbound: { maxPendingBytes: 10_000 } });
    const client = await open();
    const other = await open('other');
    send(client, 'work', 5_000);
    expect(await client.closed()).toBe(1008);
    expect(running.started).toBe(16);
    expect(traffic().ignored['pending-overflow']).toBe(1);
    expect(await other.ask('hi')).toEqual({ event: 'hi' });
  });
});

describe('a client that sends more than its handlers can process', () => {
  it('is not read for a while, and not treated as dead', async () => {
    const clock = new FakeClock();
    await start({ clock, heartbeat: { intervalMs: 640, timeoutMs: 500 } });
    const client = await open();
    send(client, 'work', 20_000);
    const [manager] = testApp.app.get(WebSocketManagerFactory).managersOf('ada');
    await eventually(() => expect(manager!.isReadingPaused).toBe(true));
    const read = traffic().received;
    // During ten heartbeats, no pong of the client can be read.
    const pings = new Set<number>();
    for (let passedMs = 0; passedMs < 6_400; passedMs += 100) {
      await clock.advance(100);
      pings.add(manager!.pingedAt);
    }
    expect(pings.size).toBeGreaterThan(5);
    expect(traffic().received).toBe(read);
    expect(client.closeCode).toBeUndefined();
    release();
    await eventually(() => expect(running.started).toBe(20_000));
    expect(client.closeCode).toBeUndefined();
  });
});

describe('the rate', () => {
  const rate = { messages: 100, perMs: 60_000 };

  it('closes a connection with 4430 at the first message above it', async () => {
    await start({ inbound: { rate } });
    const client = await open();
    send(client, 'hi', 101);
    expect(await client.closed()).toBe(4430);
    expect(client.messages).toHaveLength(100);
    expect(await (await open('other')).ask('hi')).toEqual({ event: 'hi' });
  });

  it('counts frames that are not JSON, too', async () => {
    await start({ inbound: { rate } });
    const client = await open();
    for (let sent = 0; sent < 101; sent += 1) client.socket.send('{');
    expect(await client.closed()).toBe(4430);
  });

  it('is shared by all connections of a user', async () => {
    await start({ inbound: { rate: { ...rate, perUser: 150 } } });
    const many = await Promise.all(Array.from({ length: 20 }, () => open()));
    for (const client of many) send(client, 'hi', 10);
    await eventually(() => expect(many.some(({ closeCode }) => closeCode === 4430)).toBe(true));
    await eventually(() => expect(traffic().received).toBeGreaterThanOrEqual(151));
    const answered = many.reduce((sum, { messages }) => sum + messages.length, 0);
    expect(answered).toBeLessThanOrEqual(150);
    expect(await (await open('other')).ask('hi')).toEqual({ event: 'hi' });
  });

  it('is not reset by reconnecting, and refills over time', async () => {
    const clock = new FakeClock();
    await start({ inbound: { rate }, clock });
    const first = await open();
    send(first, 'hi', 100);
    await eventually(() => expect(first.messages).toHaveLength(100));
    await first.close();
    const second = await open();
    second.send('hi');
    expect(await second.closed()).toBe(4430);
    await clock.advance(30_000);
    const third = await open();
    send(third, 'hi', 50);
    await eventually(() => expect(third.messages).toHaveLength(50));
    const rates = testApp.app.get(UserRates, { strict: false });
    expect(rates.size).toBe(1);
    await clock.advance(120_000);
    expect(rates.size).toBe(0);
  });
});
