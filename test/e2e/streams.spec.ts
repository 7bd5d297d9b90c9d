import { type Duplex, Readable } from 'node:stream';
import { setTimeout as pause } from 'node:timers/promises';

import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { type NestInterceptor, UseInterceptors } from '@nestjs/common';
import { MessageBody, SubscribeMessage, WsException } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  IsolationEventBus,
  type IsolationEvents,
  LeakDetector,
  MessageSignal,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';
import { concat, map, Observable, of as observableOf, range } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

const CHUNK = 'x'.repeat(16_384);
/** More than may wait for a reader that is behind. */
const LARGE = 'x'.repeat(1_500_000);
let ended: string[] = [];
let pulled = 0;

class Pass implements NestInterceptor {
  intercept(_context: unknown, next: { handle(): Observable<unknown> }): Observable<unknown> {
    return next.handle().pipe(map((value) => value));
  }
}

@IsolatedGateway({ path: '/stream' })
class StreamGateway {
  @SubscribeMessage('generator')
  async *generator(@MessageBody() count: number): AsyncGenerator {
    try {
      for (let index = 0; index < count; index += 1) yield { event: 'item', data: index };
    } finally {
      ended.push('generator');
    }
  }

  @UseInterceptors(Pass)
  @SubscribeMessage('intercepted')
  async *intercepted(): AsyncGenerator {
    yield { event: 'item', data: 1 };
    yield { event: 'item', data: 2 };
  }

  @SubscribeMessage('node')
  node(): Readable {
    return Readable.from(['a', 'b']);
  }

  @SubscribeMessage('web')
  web(): ReadableStream {
    return new ReadableStream({
      start(controller) {
        controller.enqueue(1);
        controller.close();
      },
    });
  }

  @SubscribeMessage('fails')
  async *fails(): AsyncGenerator {
    yield { event: 'item', data: 1 };
    throw new WsException('broken');
  }

  @SubscribeMessage('waits')
  async *waits(@MessageSignal() signal: AbortSignal): AsyncGenerator {
    try {
      yield { event: 'begun' };
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => resolve());
      });
    } finally {
      ended.push('waits');
    }
  }

  @SubscribeMessage('deaf')
  async *deaf(): AsyncGenerator {
    yield { event: 'begun' };
    await new Promise(() => undefined);
  }

  @SubscribeMessage('observable')
  observable(): Observable<unknown> {
    return new Observable((subscriber) => {
      subscriber.next({ event: 'begun' });
      return () => void ended.push('observable');
    });
  }

  @SubscribeMessage('flood')
  async *flood(): AsyncGenerator {
    try {
      for (;;) {
        pulled += 1;
        yield { event: 'flood', data: CHUNK };
      }
    } finally {
      ended.push('flood');
    }
  }

  @SubscribeMessage('large')
  async *large(@CurrentManager() manager: WebSocketManager): AsyncGenerator {
    yield { event: 'item', data: 'small' };
    yield { event: 'item', data: LARGE };
    yield { event: 'item', data: 'small' };
    manager.send('item', LARGE);
    yield { event: 'item', data: LARGE };
  }

  @SubscribeMessage('endless')
  async *endless(): AsyncGenerator {
    for (;;) {
      await pause(1);
      yield { event: 'tick' };
    }
  }

  @SubscribeMessage('burst')
  burst(): Observable<unknown> {
    const numbered = range(1, 1_000).pipe(
      map((n) => ({ event: 'n', data: { n, filling: CHUNK } })),
    );
    return concat(numbered, observableOf({ event: 'n', data: { n: 'last' } }));
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown): unknown {
    return { event: 'echo', data };
  }

  @SubscribeMessage('pins')
  pins(@CurrentManager() manager: WebSocketManager): unknown {
    return { event: 'pins', data: manager.pins };
  }
}

let testApp: TestApp;
afterEach(() => testApp.close());

async function start(options: object = {}): Promise<TestClient> {
  ended = [];
  pulled = 0;
  testApp = await startApp({ providers: [StreamGateway], logger: false, options });
  return testApp.connect('/stream?user=ada');
}
const managers = (): WebSocketManager[] =>
  testApp.app.get(WebSocketManagerFactory).managersOf('ada');
const of = ({ messages }: TestClient, id: unknown): unknown[] =>
  messages.filter((message) => message.id === id || message.data?.id === id);

describe('a handler that returns a stream', () => {
  it.each([
    ['generator', [0, 1, 2].map((data) => ({ event: 'item', data, id: 1 }))],
    ['intercepted', [1, 2].map((data) => ({ event: 'item', data, id: 1 }))],
    ['node', ['a', 'b'].map((data) => ({ event: 'node', data, id: 1 }))],
    ['web', [{ event: 'web', data: 1, id: 1 }]],
  ])('sends its items, and `complete`: %s', async (event, items) => {
    const client = await start();
    client.send(event, 3, 1);
    await client.next('complete');
    expect(of(client, 1)).toEqual([...items, { event: 'complete', id: 1 }]);
    expect(managers()[0]!.isPinned).toBe(false);
  });

  it('sends an exception when its source fails', async () => {
    const client = await start();
    client.send('fails', undefined, 1);
    await client.next('exception');
    expect(of(client, 1)).toMatchObject([
      { event: 'item' },
      { event: 'exception', data: { message: 'broken', id: 1 } },
    ]);
  });

  it('ends, and its signal is aborted, when the client cancels the message', async () => {
    const client = await start();
    client.send('waits', undefined, 'a');
    await client.next('begun');
    expect((await client.ask('pins')).data).toEqual(['stream of waits']);
    client.send('cancel', undefined, 'a');
    await client.next('complete');
    expect(ended).toEqual(['waits']);
    expect(of(client, 'a')).toHaveLength(2);
    client.send('cancel', undefined, 'nothing');
    expect((await client.ask('echo', 1)).event).toBe('echo');
  });

  it('ends when the connection closes; a source that does not is abandoned and listed', async () => {
    const client = await start({ cleanup: { disposeTimeoutMs: 50 } });
    client.send('waits', undefined, 1);
    client.send('deaf', undefined, 2);
    await client.next('begun');
    await client.next('begun');
    const [manager] = managers();
    await client.close();
    await eventually(() => expect(manager!.state).toBe('closed'));
    expect(ended).toEqual(['waits']);
    const report = JSON.stringify(testApp.app.get(LeakDetector).getReport());
    expect(report).toContain('stream of deaf');
  });

  it('that ignores return() is abandoned when it is cancelled, and the client gets `complete`', async () => {
    const client = await start({ cleanup: { disposeTimeoutMs: 50 } });
    client.send('deaf', undefined, 1);
    await client.next('begun');
    client.send('cancel', undefined, 1);
    await client.next('complete');
    expect(of(client, 1)).toHaveLength(2);
    expect(managers()[0]!.isPinned).toBe(false);
    // It keeps its place among the streams of the connection until it ends.
    expect(managers()[0]!.openStreams).toMatchObject([{ event: 'deaf' }]);
    const { suspects } = testApp.app.get(LeakDetector).getReport();
    expect(suspects).toMatchObject([{ cause: 'abandoned', label: 'stream of deaf' }]);
  });

  it('may be an observable, which is unsubscribed when the client cancels the message', async () => {
    const client = await start();
    client.send('observable', undefined, 1);
    await client.next('begun');
    expect(managers()[0]!.openStreams).toMatchObject([{ event: 'observable' }]);
    client.send('cancel', undefined, 1);
    await client.next('complete');
    expect(ended).toEqual(['observable']);
    expect(of(client, 1)).toHaveLength(2);
    expect(managers()[0]!.openStreams).toEqual([]);
  });

  it('is counted, listed with its age, and reported when it ends', async () => {
    const client = await start();
    const events: IsolationEvents['stream-ended'][] = [];
    testApp.app.get(IsolationEventBus).on('stream-ended', (event) => void events.push(event));
    client.send('waits', undefined, 1);
    await client.next('begun');
    expect(managers()[0]!.openStreams).toEqual([
      { event: 'waits', ageMs: expect.any(Number) as unknown as number },
    ]);
    const stats = (): object => testApp.app.get(WebSocketManagerFactory).getStats().currentState;
    expect(stats()).toMatchObject({ openStreams: 1, openAsks: 0 });
    client.send('cancel', undefined, 1);
    await client.next('complete');
    client.send('generator', 2, 2);
    await client.next('complete');
    client.send('fails', undefined, 3);
    await client.next('exception');
    client.send('waits', undefined, 4);
    await client.next('begun');
    await client.close();
    await eventually(() => expect(events).toHaveLength(4));
    expect(events.map(({ event, outcome, items }) => [event, outcome, items])).toEqual([
      ['waits', 'cancelled', 1],
      ['generator', 'completed', 2],
      ['fails', 'failed', 1],
      ['waits', 'closed', 1],
    ]);
    expect(stats()).toMatchObject({ openStreams: 0, openAsks: 0 });
  });

  it('is pulled only as fast as its client reads, and never closes the connection with 4441', async () => {
    const client = await start();
    const thaw = client.freeze();
    client.send('flood', undefined, 1);
    let before = -1;
    await eventually(() => {
      const isStill = pulled > 0 && pulled === before;
      before = pulled;
      expect(isStill).toBe(true);
    });
    const owed = managers()[0]!.bufferedBytes;
    expect(owed).toBeLessThan(65_536 + 2 * CHUNK.length);
    thaw();
    await eventually(() => expect(pulled).toBeGreaterThan(before + 100));
    client.send('cancel', undefined, 1);
    await client.next('complete');
    expect(ended).toEqual(['flood']);
    expect(client.closeCode).toBeUndefined();
  });

  it('waits for a reader with all other streams of its connection, and listens to the socket once', async () => {
    const client = await start();
    const { _socket: transport } = managers()[0]!.socket as unknown as { _socket: Duplex };
    const before = transport.listenerCount('drain');
    const thaw = client.freeze();
    for (let id = 1; id <= 12; id += 1) client.send('flood', undefined, id);
    await eventually(() => expect(transport.listenerCount('drain')).toBe(before + 1));
    let last = -1;
    await eventually(() => {
      const isStill = pulled >= 12 && pulled === last;
      last = pulled;
      expect(isStill).toBe(true);
    });
    expect(transport.listenerCount('drain')).toBe(before + 1);
    thaw();
    await eventually(() => expect(pulled).toBeGreaterThan(last + 100));
  });

  it('has its items written together where they are ready together, and never later than that', async () => {
    const client = await start();
    const { _socket: transport } = managers()[0]!.socket as unknown as { _socket: Duplex };
    const [one, many] = [jest.spyOn(transport, '_write'), jest.spyOn(transport, '_writev')];
    client.send('generator', 640, 1);
    await client.next('complete');
    // 64 items in each turn of the event loop, and the end.
    expect(one.mock.calls.length + many.mock.calls.length).toBeLessThanOrEqual(12);
    // The source waits after its first item, which is sent nevertheless.
    client.send('waits', undefined, 2);
    await client.next('begun');
    client.send('cancel', undefined, 2);
    await client.next('complete');
  });

  it('may have items that are larger than what may wait for a reader', async () => {
    const client = await start();
    client.send('large', undefined, 1);
    await client.next('complete');
    const sizes = client.messages
      .filter(({ event }) => event === 'item')
      .map(({ data }) => data.length);
    expect(sizes).toEqual([5, LARGE.length, 5, LARGE.length, LARGE.length]);
    expect(client.closeCode).toBeUndefined();
  });

  it('holds no place among the handlers, and is bounded in number', async () => {
    const client = await start({ inbound: { concurrency: 1, maxStreams: 2 } });
    client.send('endless', undefined, 1);
    client.send('endless', undefined, 2);
    client.send('endless', undefined, 3);
    const { data } = await client.next('exception');
    expect(data).toMatchObject({ code: 'TOO_MANY_STREAMS', id: 3 });
    client.send('echo', 1, 4);
    expect(await client.next('echo')).toMatchObject({ id: 4 });
  });
});

const numbersOf = ({ messages }: TestClient): unknown[] =>
  messages.filter(({ event }) => event === 'n').map(({ data }) => data.n);
const overflow = async (onStreamOverflow?: 'drop' | 'latest'): Promise<TestClient> => {
  const client = await start({ outbound: { onStreamOverflow } });
  const thaw = client.freeze();
  client.send('burst', undefined, 1);
  await eventually(() =>
    expect(managers()[0]?.bufferedBytes !== 0 || client.closeCode !== undefined).toBe(true),
  );
  thaw();
  return client;
};

describe('an Observable that emits faster than its client reads', () => {
  it('closes the connection with 4441 by default', async () => {
    const client = await overflow();
    expect(await client.closed()).toBe(4441);
  });

  it('loses the items in between with `drop`, and completes', async () => {
    const client = await overflow('drop');
    await client.next('complete');
    const got = numbersOf(client);
    expect(got.length).toBeLessThan(1_000);
    expect(got.slice(0, 3)).toEqual([1, 2, 3]);
    expect(got).not.toContain('last');
  });

  it('gets the newest item after the others with `latest`, before `complete`', async () => {
    const client = await overflow('latest');
    await client.next('complete');
    const got = numbersOf(client);
    expect(got.length).toBeLessThan(1_000);
    expect(got.at(-1)).toBe('last');
    expect(client.messages.at(-1)).toEqual({ event: 'complete', id: 1 });
  });
});
