import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  UserExecutionContext,
  type WebSocketIsolationOptions,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { TrafficCounters } from '../../src/connection/traffic-counters.js';
import { RawSocket, textFrame, upgradeRequest } from '../support/raw-socket.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** A promise that `open` resolves. */
class Gate {
  open!: () => void;
  readonly opened = new Promise<void>((resolve) => (this.open = resolve));
}

let connecting = new Gate();
let working = new Gate();
const trace: string[] = [];
const running = { now: 0, most: 0 };

@IsolatedGateway({ path: '/order' })
class OrderGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
  ) {}

  async handleConnection(): Promise<void> {
    trace.push('connecting');
    if (this.context.userId.startsWith('slow')) await connecting.opened;
    trace.push('connected');
  }

  @SubscribeMessage('sync') sync(@MessageBody() data: number): unknown {
    trace.push(`sync ${data}`);
    return { event: 'sync', data };
  }

  @SubscribeMessage('fail') fail(): never {
    throw new Error('planned');
  }

  @SubscribeMessage('later') async later(@MessageBody() data: number): Promise<unknown> {
    trace.push(`later ${data}`);
    await new Promise(setImmediate);
    return { event: 'later', data };
  }

  @SubscribeMessage('work') async work(@MessageBody() data: unknown): Promise<unknown> {
    running.now += 1;
    running.most = Math.max(running.most, running.now);
    await working.opened;
    running.now -= 1;
    return { event: 'worked', data };
  }
}

let testApp: TestApp | undefined;
const clients: TestClient[] = [];
afterEach(async () => {
  connecting.open();
  working.open();
  for (const client of clients.splice(0)) client.terminate();
  await testApp?.close();
  testApp = undefined;
  [connecting, working] = [new Gate(), new Gate()];
  trace.length = 0;
  running.now = running.most = 0;
});

async function start(options: WebSocketIsolationOptions = {}): Promise<void> {
  testApp = await startApp({ providers: [OrderGateway], options });
}

async function open(user = 'ada'): Promise<TestClient> {
  const client = await TestClient.open(testApp!.url(`/order?user=${user}`));
  clients.push(client);
  return client;
}

const received = (): number => testApp!.app.get(TrafficCounters, { strict: false }).received;

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe('the ready gate', () => {
  it('runs no handler before handleConnection has settled, and loses no message', async () => {
    await start();
    const client = await open('slow');
    for (const index of numbers(500)) client.send('sync', index);
    await eventually(() => expect(received()).toBe(500));
    expect(trace).toEqual(['connecting']);
    connecting.open();
    await eventually(() => expect(client.messages).toHaveLength(500));
    expect(trace[1]).toBe('connected');
  });

  it('holds messages that came with the upgrade request until the client is authenticated', async () => {
    const answer = new Gate();
    await start({
      authenticator: () => answer.opened.then(() => ({ userId: 'ada' })),
    });
    const raw = await RawSocket.open(testApp!.port);
    const early = textFrame('{"event":"sync","data":1}');
    raw.write(Buffer.concat([Buffer.from(upgradeRequest('/order?user=ada')), early]));
    raw.write(early);
    await sleep(30);
    expect(trace).toEqual([]);
    answer.open();
    await eventually(() => expect(trace).toEqual(['connecting', 'connected', 'sync 1', 'sync 1']));
    raw.destroy();
  });

  it('never runs a handler for a refused client', async () => {
    await start({ authenticator: () => null });
    const raw = await RawSocket.open(testApp!.port);
    const early = textFrame('{"event":"sync","data":1}');
    raw.write(Buffer.concat([Buffer.from(upgradeRequest('/order')), early]));
    await eventually(() => expect(raw.isClosed).toBe(true));
    expect(raw.status).toBe(401);
    expect(trace).toEqual([]);
  });
});

describe('waiting messages', () => {
  it('are handled in order, for any number of them', async () => {
    await start();
    const client = await open('slow');
    for (const index of numbers(8_000)) client.send('sync', index);
    await eventually(() => expect(received()).toBeGreaterThan(2_000));
    connecting.open();
    await eventually(() => expect(client.messages).toHaveLength(8_000));
    expect(client.messages.map(({ data }) => data)).toEqual(numbers(8_000));
  });

  it('are handled one after another with a concurrency of 1', async () => {
    await start({ inbound: { concurrency: 1 } });
    const client = await open('slow');
    for (const index of numbers(300)) client.send(index % 3 === 0 ? 'later' : 'sync', index);
    await eventually(() => expect(received()).toBe(300));
    connecting.open();
    await eventually(() => expect(client.messages).toHaveLength(300));
    expect(client.messages.map(({ data }) => data)).toEqual(numbers(300));
  });

  it('fail in order too', async () => {
    await start({ inbound: { concurrency: 1 } });
    const client = await open('slow');
    for (const index of numbers(100)) client.send(index % 2 === 0 ? 'fail' : 'sync', index, index);
    await eventually(() => expect(received()).toBe(100));
    connecting.open();
    await eventually(() => expect(client.messages).toHaveLength(100));
    const order = client.messages.map(({ event, data }) =>
      event === 'exception' ? (data as { id: number }).id : data,
    );
    expect(order).toEqual(numbers(100));
  });
});
