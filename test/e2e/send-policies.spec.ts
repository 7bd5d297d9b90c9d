import { afterEach, describe, expect, it } from '@jest/globals';
import {
  IsolatedGateway,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';

import { MAX_LATEST } from '../../src/manager/latest-frames.js';
import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/feed' })
class FeedGateway {}

const LOW_WATER = 65_536;
const CHUNK = 'x'.repeat(LOW_WATER);
const LATEST = { policy: 'latest' } as const;
const DROP = { policy: 'drop' } as const;

let testApp: TestApp;
afterEach(() => testApp.close());

async function start(options: object = {}): Promise<[TestClient, WebSocketManager]> {
  testApp = await startApp({ providers: [FeedGateway], options });
  const client = await testApp.connect('/feed?user=ada&thread=tea');
  return [client, testApp.app.get(WebSocketManagerFactory).managersOf('ada')[0]!];
}
const emitter = (): WebSocketEmitter => testApp.app.get(WebSocketEmitter);

/** Sends until the socket owes more than the low-water mark. */
function fill(manager: WebSocketManager): void {
  while (manager.bufferedBytes <= LOW_WATER) manager.send('filler', CHUNK);
}
const dataOf = ({ messages }: TestClient, event: string): unknown[] =>
  messages.filter((message) => message.event === event).map(({ data }) => data);

it('does not take a reader for slow that has one large message before a tiny one', async () => {
  const [client, manager] = await start();
  const thaw = client.freeze();
  // The first ones go into the buffers of the operating system.
  while (manager.bufferedBytes === 0) manager.send('large', 'x'.repeat(900_000));
  expect(manager.send('t')).toBe('queued');
  thaw();
  await client.next('t');
});

describe('a message with a policy', () => {
  it('is sent like any other to a reader that keeps up', async () => {
    const [client, manager] = await start();
    expect([
      manager.send('a', 1, DROP),
      manager.send('a', 2, LATEST),
      manager.send('a', 3, LATEST),
      manager.send('a', 4, { policy: 'queue' }),
      manager.send('a', 5, {}),
    ]).toEqual(['sent', 'sent', 'sent', 'sent', 'sent']);
    await eventually(() => expect(dataOf(client, 'a')).toEqual([1, 2, 3, 4, 5]));
  });

  it('`drop` is not sent while the reader is behind, and is again afterwards', async () => {
    const [client, manager] = await start();
    const thaw = client.freeze();
    fill(manager);
    expect(manager.send('a', 1, DROP)).toEqual({ dropped: 'policy' });
    expect(emitter().toUser('ada').send('a', 2, DROP)).toEqual({ sent: 0, queued: 0, dropped: 1 });
    thaw();
    await eventually(() => expect(manager.send('a', 3, DROP)).toBe('sent'));
    await eventually(() => expect(dataOf(client, 'a')[0]).toBe(3));
    expect(manager.getStats().metrics.messagesFailedTotal).toBe(0);
  });

  it('`latest` is kept in place of an earlier one of the same event and topic', async () => {
    const [client, manager] = await start();
    await manager.join('room');
    const thaw = client.freeze();
    fill(manager);
    expect(manager.send('a', 1, LATEST)).toBe('queued');
    expect(manager.send('b', 1, LATEST)).toBe('queued');
    expect(manager.send('a', 2, LATEST)).toBe('replaced');
    const toRoom = emitter().toTopic('room');
    expect(toRoom.send('a', 'room 1', LATEST)).toEqual({ sent: 0, queued: 1, dropped: 0 });
    const replaced = { sent: 0, queued: 1, dropped: 0, replaced: 1 };
    expect(toRoom.send('a', 'room 2', LATEST)).toEqual(replaced);
    expect(emitter().toUser('ada').send('a', 3, LATEST)).toEqual(replaced);
    expect(manager.latestWaiting).toBe(3);
    thaw();
    await eventually(() => expect(dataOf(client, 'a')).toHaveLength(2));
    expect(new Set(dataOf(client, 'a'))).toEqual(new Set(['room 2', 3]));
    expect(dataOf(client, 'b')).toEqual([1]);
    expect(manager.latestWaiting).toBe(0);
    expect(client.closeCode).toBeUndefined();
  });

  it('`latest` never arrives after a newer one of the same event', async () => {
    const [client, manager] = await start();
    let next = 0;
    for (let round = 0; round < 20; round += 1) {
      const thaw = client.freeze();
      fill(manager);
      for (let index = 0; index < 10; index += 1) manager.send('a', (next += 1), LATEST);
      thaw();
      await eventually(() => {
        expect(typeof manager.send('a', (next += 1), LATEST)).toBe('string');
        expect(manager.latestWaiting).toBe(0);
      });
    }
    await eventually(() => expect(dataOf(client, 'a').at(-1)).toBe(next));
    const numbers = dataOf(client, 'a') as number[];
    expect(numbers).toEqual(numbers.toSorted((a, b) => a - b));
    expect(numbers.length).toBeLessThan(next);
  });

  it('is kept within bounds of items and bytes, and gone with the connection', async () => {
    const [client, manager] = await start();
    client.freeze();
    fill(manager);
    for (let index = 0; index < MAX_LATEST; index += 1) {
      expect(manager.send(`event ${index}`, index, LATEST)).toBe('queued');
    }
    expect(manager.send('one more', 1, LATEST)).toEqual({ dropped: 'policy' });
    expect(manager.send('event 1', 'x'.repeat(2_000_000), LATEST)).toEqual({ dropped: 'policy' });
    expect(manager.send('event 1', 2, LATEST)).toBe('replaced');
    const held = manager.waitingBytes;
    expect(held).toBeGreaterThan(manager.bufferedBytes);
    const { latest } = (manager as unknown as { owner: { latest: { size: number } } }).owner;
    expect(latest.size).toBe(MAX_LATEST);
    await manager.close();
    expect([latest.size, manager.latestWaiting]).toEqual([0, 0]);
    expect(manager.send('a', 1, LATEST)).toEqual({ dropped: 'closed' });
  });

  it('that does not exist is refused by name', async () => {
    const [, manager] = await start();
    const wrong = { policy: 'newest' } as never;
    expect(() => manager.send('a', 1, wrong)).toThrow(/policy to be 'queue', 'drop' or 'latest'/);
    expect(() => emitter().toUser('ada').send('a', 1, wrong)).toThrow(TypeError);
    expect(() => emitter().toAll().send('a', 1, wrong)).toThrow(TypeError);
    expect(() => emitter().toThread('ada', 'tea').send('a', 1, wrong)).toThrow(TypeError);
    await expect(emitter().toUser('ada').sendAsync('a', 1, wrong)).rejects.toThrow(TypeError);
  });

  it('has no position in a history, and does not come again', async () => {
    const [client] = await start({
      resume: {},
      topics: { history: { windowMs: 60_000, maxEvents: 100, maxBytes: 100_000 } },
    });
    const [manager] = testApp.app.get(WebSocketManagerFactory).managersOf('ada');
    await manager!.join('room');
    emitter().toThread('ada', 'tea').send('kept', 1);
    emitter().toThread('ada', 'tea').send('passing', 2, LATEST);
    emitter().toTopic('room').send('kept', 3);
    emitter().toTopic('room').send('passing', 4, DROP);
    await eventually(() => expect(dataOf(client, 'passing')).toEqual([2, 4]));
    await eventually(() => expect(dataOf(client, 'kept')).toEqual([1, 3]));
    const hasPosition = (event: string): unknown[] =>
      client.messages
        .filter((message) => message.event === event)
        .map((message) => 'position' in message);
    expect(hasPosition('passing')).toEqual([false, false]);
    expect(hasPosition('kept')).toEqual([true, true]);
  });
});
