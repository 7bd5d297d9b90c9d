import { afterEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  IsolationEventBus,
  SendFailedError,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
  type WebSocketIsolationOptions,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

const KIB = 1_024;
const MIB = 1_024 * KIB;
/** Most critical messages that wait for one connection. */
const MOST_WAITING = 1_000;

@IsolatedGateway({ path: '/news' })
class NewsGateway {
  constructor(private readonly manager: WebSocketManager) {}

  handleConnection(): Promise<void> {
    return this.manager.join('news');
  }

  @SubscribeMessage('echo')
  echo(): object {
    return { event: 'echo' };
  }
}

let testApp: TestApp;
const clients: TestClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate();
  await testApp.close();
});

interface Tab {
  readonly client: TestClient;
  readonly manager: WebSocketManager;
}

/** Opens tabs of one user on one thread, in this order, all in the topic "news". */
async function openTabs(outbound: WebSocketIsolationOptions['outbound']): Promise<[Tab, Tab, Tab]> {
  testApp = await startApp({ providers: [NewsGateway], options: { outbound: outbound! } });
  const open = async (): Promise<Tab> => {
    const client = await TestClient.open(testApp.url('/news?user=ada&thread=main'));
    clients.push(client);
    await client.ask('echo');
    return { client, manager: testApp.app.get(WebSocketManagerFactory).managersOf('ada').at(-1)! };
  };
  const tabs: [Tab, Tab, Tab] = [await open(), await open(), await open()];
  expect(new Set(tabs.map(({ manager }) => manager)).size).toBe(3);
  return tabs;
}

/** Sends to a client that does not read, until so many bytes wait. */
function owe({ client, manager }: Tab, bytes: number): void {
  client.socket.pause();
  const piece = 'x'.repeat(64 * KIB);
  while (manager.bufferedBytes < bytes) manager.send('piece', piece);
}

const AUDIENCES = {
  toTopic: (emitter: WebSocketEmitter) => emitter.toTopic('news'),
  toAll: (emitter: WebSocketEmitter) => emitter.toAll(),
  toThread: (emitter: WebSocketEmitter) => emitter.toThread('ada', 'main'),
};
const NAMES = Object.keys(AUDIENCES) as (keyof typeof AUDIENCES)[];

describe.each(NAMES)('sendCritical of %s', (name) => {
  it('reaches the others when a thousand critical messages wait for a reader that does not read', async () => {
    const [slow, ...others] = await openTabs({ maxBufferedBytes: 64 * KIB });
    const { manager } = slow;
    slow.client.socket.pause();
    const piece = 'x'.repeat(64 * KIB);
    while (manager.recoveryQueueSize === 0) manager.emitCritical('piece', piece);
    while (manager.recoveryQueueSize < MOST_WAITING) manager.emitCritical('count');
    expect(() => manager.emitCritical('count')).toThrow(SendFailedError);
    const { messagesFailedTotal } = manager.getStats().metrics;

    const emitter = testApp.app.get(WebSocketEmitter);
    const report = AUDIENCES[name](emitter).sendCritical('said', name);
    expect(report).toEqual({ sent: 2, queued: 0, dropped: 1 });
    for (const { client } of others) expect((await client.next('said')).data).toBe(name);
    expect(manager.getStats()).toMatchObject({
      isActive: true,
      recoveryQueueSize: MOST_WAITING,
      lastError: expect.stringContaining('too many critical messages wait already'),
      metrics: { messagesFailedTotal: messagesFailedTotal + 1 },
    });
  });

  it('reaches the others when the budget of the process ends one of them meanwhile', async () => {
    const [first, greedy, last] = await openTabs({
      maxBufferedBytes: 64 * MIB,
      maxBufferedBytesTotal: 16 * MIB,
    });
    owe(greedy, 11 * MIB);
    owe(first, MIB);

    const emitter = testApp.app.get(WebSocketEmitter);
    const report = AUDIENCES[name](emitter).sendCritical('said', 'x'.repeat(6 * MIB));
    expect(greedy.manager.isActive).toBe(false);
    expect(report).toEqual({ sent: 0, queued: 2, dropped: 1 });
    expect((await last.client.next('said')).data).toHaveLength(6 * MIB);
    expect(first.manager.isActive).toBe(true);
  });
});

describe('emitCritical', () => {
  // A message that is being written counts once: otherwise the budget would end its connection and not the greedy one.
  it('sends a message once when a listener sends another one while it is written', async () => {
    const [reader, greedy] = await openTabs({
      maxBufferedBytes: 64 * MIB,
      maxBufferedBytesTotal: 16 * MIB,
    });
    const { client, manager } = reader;
    testApp.app.get(IsolationEventBus).on('slow-consumer', () => void manager.emitCritical('left'));
    owe(greedy, 12 * MIB);

    manager.emitCritical('large', 'x'.repeat(8 * MIB));
    expect(greedy.manager.isActive).toBe(false);
    manager.emitCritical('last');
    await eventually(() => expect(client.messages.at(-1)!.event).toBe('last'));
    const events = client.messages.map(({ event }) => event);
    expect(events.slice(events.indexOf('large'))).toEqual(['large', 'left', 'last']);
  });
});
