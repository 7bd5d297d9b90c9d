import { afterEach, describe, expect, it } from '@jest/globals';
import {
  BadRequestException,
  type CanActivate,
  Catch,
  type ExceptionFilter,
  type NestInterceptor,
  type PipeTransform,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { MessageBody, SubscribeMessage, WsException } from '@nestjs/websockets';
import {
  AskRejectedError,
  AskTimeoutError,
  CurrentManager,
  IsolatedGateway,
  ManagerClosedError,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, FakeClock, type TestClient } from 'nestjs-websocket-isolation/testing';
import { map, of, throwError } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

class Never implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}
class Refuse implements PipeTransform {
  transform(): never {
    throw new BadRequestException('no');
  }
}
class Pass implements NestInterceptor {
  intercept(
    _context: unknown,
    next: { handle(): ReturnType<NestInterceptor['intercept']> },
  ): never {
    return (next.handle() as ReturnType<typeof of>).pipe(map((value) => value)) as never;
  }
}
@Catch()
class OwnWords implements ExceptionFilter {
  catch(
    _error: unknown,
    host: { switchToWs(): { getClient(): { send(text: string): void } } },
  ): void {
    host.switchToWs().getClient().send('{"event":"oops"}');
  }
}

let endHeld: (() => void) | undefined;

@IsolatedGateway({ path: '/ask' })
class AskGateway {
  @SubscribeMessage('value') value(@MessageBody() data: unknown): unknown {
    return { event: 'value', data };
  }
  @SubscribeMessage('text') text(): unknown {
    return 'bare';
  }
  @SubscribeMessage('promise') async promise(): Promise<unknown> {
    return { event: 'promised' };
  }
  @SubscribeMessage('nothing') nothing(): void {
    /* returns nothing */
  }
  @SubscribeMessage('later') async later(): Promise<void> {
    await new Promise((done) => setImmediate(done));
  }
  @SubscribeMessage('many') many(): unknown {
    return of({ event: 'one' }, { event: 'two' });
  }
  @SubscribeMessage('broken') broken(): unknown {
    return throwError(() => new WsException('gone'));
  }
  @SubscribeMessage('throws') throws(): never {
    throw new WsException('bad');
  }
  @SubscribeMessage('object') object(): never {
    throw new WsException({ own: true });
  }
  @SubscribeMessage('circle') circle(): unknown {
    const a: Record<string, unknown> = {};
    a['a'] = a;
    return a;
  }
  @UseGuards(Never) @SubscribeMessage('guarded') guarded(): unknown {
    return { event: 'never' };
  }
  @SubscribeMessage('piped') piped(@MessageBody(new Refuse()) _data: unknown): unknown {
    return { event: 'never' };
  }
  @UseInterceptors(Pass) @SubscribeMessage('intercepted') intercepted(): unknown {
    return { event: 'intercepted' };
  }
  @UseInterceptors(Pass) @SubscribeMessage('quiet') quiet(): void {
    /* returns nothing */
  }
  @UseInterceptors(Pass) @SubscribeMessage('stream') stream(): unknown {
    return of({ event: 'a' }, { event: 'b' });
  }
  @UseFilters(OwnWords) @SubscribeMessage('filtered') filtered(): never {
    throw new Error('inner');
  }
  @SubscribeMessage('held') held(): Promise<void> {
    return new Promise((done) => (endHeld = done));
  }
  @SubscribeMessage('never') never(): Promise<void> {
    return new Promise(() => undefined);
  }

  @SubscribeMessage('confirm')
  async confirm(
    @CurrentManager() manager: WebSocketManager,
    @MessageBody() timeoutMs?: number,
  ): Promise<unknown> {
    try {
      const options = timeoutMs === undefined ? {} : { timeoutMs };
      return { event: 'confirmed', data: await manager.ask('sure?', { what: 'it' }, options) };
    } catch (error) {
      return { event: 'refused', data: (error as { code?: string }).code };
    }
  }
}

@IsolatedGateway({ path: '/ask' })
class SecondGateway {
  @SubscribeMessage('both') both(): unknown {
    return { event: 'second' };
  }
}
@IsolatedGateway({ path: '/ask' })
class ThirdGateway {
  @SubscribeMessage('both') both(): unknown {
    return { event: 'third' };
  }
}

let testApp: TestApp;
afterEach(() => testApp.close());

async function start(inbound: object = {}, more: object = {}): Promise<TestClient> {
  testApp = await startApp({
    providers: [AskGateway, SecondGateway, ThirdGateway],
    logger: false,
    options: { inbound, ...more },
  });
  return testApp.connect('/ask?user=ada');
}
const managerOf = (user: string): WebSocketManager =>
  testApp.app.get(WebSocketManagerFactory).managersOf(user)[0]!;

/** The frames that carry an id, at the top or in the data of an exception. */
const carrying = ({ messages }: TestClient, id: unknown): unknown[] =>
  messages.filter((message) => message.id === id || message.data?.id === id);

describe('a message with an id', () => {
  it.each([
    ['value', { event: 'value', data: 7, id: 'x' }],
    ['text', { event: 'text', data: 'bare', id: 'x' }],
    ['promise', { event: 'promised', id: 'x' }],
    ['nothing', { event: 'ack', id: 'x' }],
    ['later', { event: 'ack', id: 'x' }],
    ['intercepted', { event: 'intercepted', id: 'x' }],
    ['quiet', { event: 'ack', id: 'x' }],
    ['both', { event: 'second', id: 'x' }],
    [
      'throws',
      {
        event: 'exception',
        data: { status: 'error', code: 'WS_EXCEPTION', message: 'bad', id: 'x' },
      },
    ],
    ['object', { event: 'exception', data: { own: true }, id: 'x' }],
    ['broken', { event: 'exception', data: { code: 'WS_EXCEPTION', message: 'gone', id: 'x' } }],
    ['circle', { event: 'exception', data: { code: 'INTERNAL_ERROR', id: 'x' } }],
    ['guarded', { event: 'exception', data: { code: 'FORBIDDEN', id: 'x' } }],
    ['piped', { event: 'exception', data: { code: 'BAD_REQUEST', id: 'x' } }],
    ['filtered', { event: 'exception', data: { code: 'INTERNAL_ERROR', id: 'x' } }],
    ['unknown', { event: 'exception', data: { code: 'UNKNOWN_EVENT', id: 'x' } }],
  ])('gets one terminal frame for: %s', async (event, frame) => {
    const client = await start();
    client.send(event, 7, 'x');
    await eventually(() => expect(carrying(client, 'x')).toHaveLength(1));
    // A later message shows that nothing follows.
    client.send('value', 8, 'y');
    await eventually(() => expect(carrying(client, 'y')).toHaveLength(1));
    expect(carrying(client, 'x')).toMatchObject([frame]);
  });

  it.each([
    ['many', ['one', 'two']],
    ['stream', ['a', 'b']],
  ])('gets the items of a stream and then `complete`: %s', async (event, items) => {
    const client = await start();
    client.send(event, undefined, 5);
    await client.next('complete');
    expect(carrying(client, 5)).toEqual([
      ...items.map((item) => ({ event: item, id: 5 })),
      { event: 'complete', id: 5 },
    ]);
  });

  it('gets a reply although its text is not JSON, or it exceeds a bound', async () => {
    const client = await start({ rate: { messages: 2, perMs: 3_600_000 } });
    client.socket.send('{"event":"value","id":"z",}');
    expect((await client.next()).data).toMatchObject({ code: 'NOT_JSON', id: 'z' });
    client.send('value', 1, 1);
    client.send('value', 1, 2);
    expect(await client.closed()).toBe(4430);
    expect(carrying(client, 2)).toMatchObject([{ data: { code: 'RATE_LIMITED' } }]);
  });

  it('is refused when the connection closes before its handler has ended, also while it waits', async () => {
    const client = await start({ concurrency: 1 });
    client.send('never', undefined, 1);
    client.send('value', undefined, 2);
    await eventually(() =>
      expect(testApp.app.get(WebSocketManagerFactory).managersOf('ada')).toHaveLength(1),
    );
    await eventually(() => expect(managerOf('ada').getStats().metrics).toBeDefined());
    client.send('unknown', undefined, 3);
    await eventually(() => expect(carrying(client, 3)).toHaveLength(1));
    void testApp.app.get(WebSocketManagerFactory).cleanupUser('ada');
    await client.closed();
    for (const id of [1, 2]) {
      expect(carrying(client, id)).toMatchObject([{ data: { code: 'CLOSING' } }]);
    }
  });

  it('stays as in stock Nest without an id', async () => {
    const client = await start();
    for (const event of ['value', 'nothing', 'many', 'both', 'unknown']) client.send(event, 1);
    client.send('value', 2, 'end');
    await eventually(() => expect(carrying(client, 'end')).toHaveLength(1));
    const events = client.messages.map(({ event }) => event);
    expect(events).toEqual(['value', 'one', 'two', 'second', 'third', 'value']);
  });
});

describe('manager.ask', () => {
  it('is answered inside a handler, with a concurrency of one', async () => {
    const client = await start({ concurrency: 1 });
    client.send('confirm', undefined, 1);
    const asked = await client.next('sure?');
    expect(asked).toEqual({ event: 'sure?', data: { what: 'it' }, ask: expect.any(String) });
    const { ask } = asked as unknown as { ask: string };
    client.socket.send(JSON.stringify({ event: 'answer', ask, data: true }));
    expect(await client.next('confirmed')).toEqual({ event: 'confirmed', data: true, id: 1 });
    client.socket.send(JSON.stringify({ event: 'answer', ask, data: 'late' }));
    client.socket.send(JSON.stringify({ event: 'answer', ask: 'made-up', data: 1 }));
    await eventually(() =>
      expect(testApp.app.get(WebSocketManagerFactory).bookkeeping.asks.ignored).toBe(2),
    );
  });

  it('is answered inside a handler while so many messages wait that reading would pause', async () => {
    const client = await start({ concurrency: 1, maxPendingBytes: 1_000_000 });
    client.send('confirm', undefined, 1);
    const { ask } = (await client.next('sure?')) as unknown as { ask: string };
    const text = 'x'.repeat(1_000);
    for (let count = 0; count < 500; count += 1) client.send('value', text, `v${count}`);
    client.socket.send(JSON.stringify({ event: 'answer', ask, data: true }));
    expect(await client.next('confirmed')).toMatchObject({ data: true, id: 1 });
    await eventually(() => expect(carrying(client, 'v499')).toHaveLength(1));
  });

  it('is heard again when it is asked while reading pauses', async () => {
    const client = await start({ concurrency: 1, maxPendingBytes: 100_000 });
    const manager = managerOf('ada');
    client.send('held');
    const text = 'x'.repeat(1_000);
    for (let count = 0; count < 60; count += 1) client.send('value', text, `v${count}`);
    await eventually(() => expect(manager.isReadingPaused).toBe(true));
    const asked = manager.ask('really?');
    const { ask } = (await client.next('really?')) as unknown as { ask: string };
    client.socket.send(JSON.stringify({ event: 'answer', ask, data: 'yes' }));
    expect(await asked).toBe('yes');
    endHeld!();
    await eventually(() => expect(carrying(client, 'v59')).toHaveLength(1));
  });

  it('rejects with the error of the client, at its deadline, by its signal and at the end', async () => {
    const clock = new FakeClock();
    const client = await start({ maxAsks: 3 }, { clock });
    const manager = managerOf('ada');
    const refused = manager.ask('a').then(String, (error: unknown) => error);
    const { ask } = (await client.next('a')) as unknown as { ask: string };
    const error = { code: 'NO', message: 'not now' };
    client.socket.send(JSON.stringify({ event: 'answer', ask, error }));
    expect(await refused).toBeInstanceOf(AskRejectedError);
    expect(await refused).toMatchObject({ clientCode: 'NO', clientMessage: 'not now' });

    const late = manager.ask('b', 1, { timeoutMs: 50 }).then(String, (reason: unknown) => reason);
    await clock.advance(50);
    expect(await late).toBeInstanceOf(AskTimeoutError);

    const stop = new AbortController();
    const stopped = manager
      .ask('c', 1, { signal: stop.signal })
      .then(String, (reason: unknown) => reason);
    stop.abort(new Error('enough'));
    expect(await stopped).toMatchObject({ message: 'enough' });

    const open = [1, 2, 3].map(() => manager.ask('d').then(String, (reason: unknown) => reason));
    await expect(manager.ask('e')).rejects.toMatchObject({ code: 'ASK_LIMIT' });
    const { asks } = testApp.app.get(WebSocketManagerFactory).bookkeeping;
    expect(asks.size).toBe(3);
    client.terminate();
    for (const one of open) expect(await one).toBeInstanceOf(ManagerClosedError);
    expect(asks.size).toBe(0);
    await expect(manager.ask('f')).rejects.toThrow(ManagerClosedError);
  });
});
