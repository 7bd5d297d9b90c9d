import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import { type ClientOptions, connect } from 'nestjs-websocket-isolation/client';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { WebSocket } from 'ws';

import { closeClients, watched, type WatchedClient } from '../support/clients.js';
import { forget, LineGateway, seen } from '../support/line-gateway.js';
import { startApp, type TestApp } from '../support/test-app.js';

let server: TestApp;
let url: string;

beforeAll(async () => {
  server = await startApp({
    providers: [LineGateway],
    options: {
      topics: {
        authorizer: (_context, topic) => topic.startsWith('room:'),
        presence: true,
        presenceIntervalMs: 20,
      },
    },
  });
  url = `ws://127.0.0.1:${server.port}/line?user=ada&thread=tea`;
});
beforeEach(forget);
afterEach(async () => {
  closeClients();
  await eventually(() => expect(managers().length).toBe(0));
});
afterAll(() => server?.close());

async function opened(options = {}): Promise<WatchedClient> {
  const watchedClient = watched(url, options);
  await watchedClient.reached('open');
  return watchedClient;
}

/** The connections of this test. */
function managers() {
  return server.app.get(WebSocketManagerFactory).managersOf('ada');
}

describe('connect()', () => {
  it('takes a URL of http, and refuses one that is none', async () => {
    const { client } = watched(url.replace('ws:', 'http:'));
    await expect(client.request('who')).resolves.toBe('ada');
    expect(() => connect('nowhere', { WebSocket })).toThrow(/Invalid URL/);
  });

  it.each([
    [{ firstDelayMs: -1 }, 'firstDelayMs is a number from 0 to 2147483647, got -1'],
    [{ maxQueued: Number.NaN }, 'maxQueued is a number'],
    [{ longestDelayMs: 2 ** 31 }, 'longestDelayMs is a number'],
    [{ protocols: 'two words' }, 'two words is no subprotocol'],
    [{ token: 'ey…' }, 'token is no function'],
  ])('refuses the options %j', (options, text) => {
    expect(() => connect(url, { WebSocket, ...(options as ClientOptions) })).toThrow(text);
  });

  it('says why there is no connection, where its WebSocket knows', async () => {
    const { client, reached } = watched(url.replace('/line', '/nowhere'), { WebSocket });
    expect(await reached('waiting')).toMatchObject({
      code: 1006,
      reason: 'Unexpected server response: 404',
    });
    client.close();
  });

  it('says what to do where there is no WebSocket', () => {
    if ('WebSocket' in globalThis) return;
    expect(() => connect(url)).toThrow('no global WebSocket: pass that of ws');
  });
});

describe('client.on() and send()', () => {
  it('hand over messages, until the function is taken back', async () => {
    const { client } = await opened();
    const got: unknown[] = [];
    const off = client.on('echo', (data, { event }) => got.push([event, data]));
    expect(client.send('echo', { a: 1 })).toBe('sent');
    await eventually(() => expect(got).toEqual([['echo', { a: 1 }]]));
    off();
    off();
    client.send('echo', 2);
    await client.request('nothing');
    expect(got).toHaveLength(1);
  });

  it('survive listeners that throw and reject, and report what they threw', async () => {
    const { client, errors, messages } = await opened();
    client.on('echo', () => {
      throw new Error('first');
    });
    client.on('echo', () => Promise.reject(new Error('second')));
    client.send('echo', 1);
    await eventually(() => expect(errors).toHaveLength(2));
    expect(errors).toMatchObject([
      { code: 'LISTENER_FAILED', cause: { message: 'first' } },
      { code: 'LISTENER_FAILED', cause: { message: 'second' } },
    ]);
    expect(messages).toMatchObject([{ event: 'echo', data: 1 }]);
    expect(client.state).toBe('open');
  });

  it('refuse data that JSON cannot express', async () => {
    const { client } = await opened();
    const circle: unknown[] = [];
    circle.push(circle);
    expect(() => client.send('echo', circle)).toThrow(TypeError);
    await expect(client.request('echo', circle)).rejects.toThrow(TypeError);
    await expect(client.stream('echo', circle).next()).rejects.toThrow(TypeError);
    expect(() => client.send(7 as never)).toThrow('The name of an event is a string');
  });

  it('report frames that are no messages', async () => {
    const { client, errors } = await opened();
    for (const frame of ['nonsense', '7', 'null']) {
      (managers()[0]!.socket as unknown as WebSocket).send(frame);
    }
    (managers()[0]!.socket as unknown as WebSocket).send(Buffer.from([1]));
    await eventually(() =>
      expect(errors.map(({ code }) => code)).toEqual(Array(4).fill('INVALID_FRAME')),
    );
    expect(client.state).toBe('open');
  });
});

describe('client.request()', () => {
  it('resolves with the data of the reply, or with nothing', async () => {
    const { client, messages } = await opened();
    await expect(client.request('echo', { b: 2 })).resolves.toEqual({ b: 2 });
    await expect(client.request('nothing')).resolves.toBeUndefined();
    await expect(client.request('object')).resolves.toEqual({ sum: 3 });
    const many = Array.from({ length: 50 }, (_, number) => client.request('echo', number));
    await expect(Promise.all(many)).resolves.toEqual(Array.from({ length: 50 }, (_, n) => n));
    // Replies are no messages.
    expect(messages).toEqual([]);
  });

  it('rejects with the code of the server', async () => {
    const { client } = await opened();
    await expect(client.request('refuse')).rejects.toMatchObject({
      name: 'ClientError',
      code: 'WS_EXCEPTION',
      message: 'not today',
      data: { status: 'error' },
    });
    await expect(client.request('unheard')).rejects.toMatchObject({ code: 'UNKNOWN_EVENT' });
  });

  it('gives up after its time, and tells the server', async () => {
    const { client } = await opened();
    await expect(client.request('hang', 1, { timeoutMs: 30 })).rejects.toMatchObject({
      code: 'TIMEOUT',
      message: 'No reply to "hang" within 30 ms.',
    });
    await eventually(() => expect(seen.cancelled).toBe(1));
    for (const timeoutMs of [-1, Number.NaN, 2 ** 31]) {
      await expect(client.request('echo', 1, { timeoutMs })).rejects.toThrow(RangeError);
    }
  });

  it('gives up with its signal, and tells the server', async () => {
    const { client } = await opened();
    const controller = new AbortController();
    const reply = client.request('hang', 1, { signal: controller.signal });
    await client.request('nothing');
    controller.abort(new Error('enough'));
    await expect(reply).rejects.toThrow('enough');
    await eventually(() => expect(seen.cancelled).toBe(1));
    await expect(client.request('echo', 1, { signal: controller.signal })).rejects.toThrow(
      'enough',
    );
    expect(seen.echoes).toEqual(['nothing']);
  });

  it('rejects when the connection is lost before the reply', async () => {
    const { client, reached } = await opened();
    const reply = client.request('flaky');
    await expect(reply).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
    await reached('open', 2);
    expect(seen.echoes).toEqual(['flaky']);
  });

  it('is sent again over the next connection, if it may be', async () => {
    const { client } = await opened();
    await expect(client.request('flaky', 1, { idempotent: true })).resolves.toBe(2);
  });

  it('is sent again after a server that goes away has refused to end it', async () => {
    const { client, reached } = await opened();
    const reply = client.request('hang', 1, { idempotent: true, timeoutMs: 240_000 });
    const lost = client.request('hang', 1, { timeoutMs: 240_000 });
    lost.catch(() => undefined);
    await client.request('nothing');
    void managers()[0]!.close(1001, 'going away');
    await expect(lost).rejects.toMatchObject({ code: 'CLOSING' });
    await reached('open', 2);
    await client.request('nothing');
    const [manager] = managers();
    client.close();
    await expect(reply).rejects.toMatchObject({ code: 'CLOSED' });
    await eventually(() => expect(manager!.state).toBe('closed'));
    expect(seen.cancelled).toBe(3);
  });
});

describe('client.stream()', () => {
  it('has all items, and ends', async () => {
    const { client, messages } = await opened();
    const numbers: number[] = [];
    for await (const { number } of client.stream<{ number: number }>('count', { to: 25 })) {
      numbers.push(number);
    }
    expect(numbers).toEqual(Array.from({ length: 25 }, (_, index) => index + 1));
    expect(seen.ended).toBe(1);
    expect(messages).toEqual([]);
  });

  it('throws the error of the handler after the items before it', async () => {
    const { client } = await opened();
    const stream = client.stream('fail-late');
    await expect(stream.next()).resolves.toEqual({ done: false, value: { number: 1 } });
    await expect(stream.next()).rejects.toMatchObject({ message: 'no more' });
    await expect(stream.next()).resolves.toEqual({ done: true, value: undefined });
  });

  it('tells the server when the loop is left', async () => {
    const { client } = await opened();
    for await (const _item of client.stream('count', { to: 1e9 })) break;
    await eventually(() => expect(seen.ended).toBe(1));
  });

  it('sends nothing before it is iterated, and nothing when it is ended before', async () => {
    const { client } = await opened();
    const stream = client.stream('count', { to: 1 });
    await stream.return!();
    await expect(stream.next()).resolves.toMatchObject({ done: true });
    await client.request('nothing');
    expect(seen.ended).toBe(0);
  });

  it('ends at once while an item is awaited', async () => {
    const { client } = await opened();
    const stream = client.stream('hang');
    const waiting = stream.next();
    await client.request('nothing');
    await stream.return!();
    await expect(waiting).resolves.toMatchObject({ done: true });
    await eventually(() => expect(seen.cancelled).toBe(1));
  });

  it('throws the reason of its signal', async () => {
    const { client } = await opened();
    const controller = new AbortController();
    const stream = client.stream('count', { to: 1e9 }, { signal: controller.signal });
    await stream.next();
    controller.abort(new Error('enough'));
    await expect(stream.next()).rejects.toThrow('enough');
    await eventually(() => expect(seen.ended).toBe(1));
    const late = client.stream('count', { to: 1 }, { signal: controller.signal });
    await expect(late.next()).rejects.toThrow('enough');
  });

  it('is given up when the app does not take its items', async () => {
    const { client } = await opened({ maxStreamBuffer: 100 });
    const stream = client.stream('count', { to: 1e9 });
    await stream.next();
    await eventually(() => expect(seen.ended).toBe(1));
    await expect(stream.next()).rejects.toMatchObject({ code: 'STREAM_OVERFLOW' });
  });

  it('throws when the connection is lost', async () => {
    const { client } = await opened();
    const stream = client.stream('hang');
    const waiting = stream.next();
    client.send('close', { code: 1006 });
    await expect(waiting).rejects.toMatchObject({ code: 'CONNECTION_LOST' });
  });
});

describe('client.answer()', () => {
  it('answers questions of the server', async () => {
    const { client } = await opened();
    const off = client.answer('confirm', async (data, { event }) => ({ data, event }));
    await expect(client.request('ask-me', 'sure?')).resolves.toEqual({
      data: 'sure?',
      event: 'confirm',
    });
    expect(() => client.answer('confirm', () => true)).toThrow('has an answer already');
    off();
    client.answer('confirm', () => undefined);
    await expect(client.request('ask-me', 'sure?')).resolves.toBeNull();
  });

  it.each([
    [
      () => Promise.reject(Object.assign(new Error('no time'), { code: 'BUSY' })),
      'BUSY',
      'no time',
    ],
    [() => Promise.reject(new Error('no time')), 'FAILED', 'no time'],
    [() => Promise.reject(Object.assign(Object.create(null), {})), 'FAILED', 'object'],
    [() => 1n, 'FAILED', 'BigInt'],
  ])('tells the server what a function throws', async (answerer, code, text) => {
    const { client } = await opened();
    client.answer('confirm', answerer);
    const answer = await client.request('ask-me');
    expect(JSON.stringify(answer)).toContain(code);
    expect(JSON.stringify(answer)).toContain(text);
  });

  it('leaves a question open that it does not know, and reports it', async () => {
    const { client, errors } = await opened();
    const reply = client.request('ask-me', 1, { timeoutMs: 240_000 });
    await eventually(() => expect(errors).toMatchObject([{ code: 'NO_ANSWER' }]));
    client.close();
    await expect(reply).rejects.toMatchObject({ code: 'CLOSED' });
  });
});

describe('client.subscribe() and presence()', () => {
  it('subscribe once for several functions, and leave with the last one', async () => {
    const { client } = await opened();
    const got: unknown[] = [];
    const changes: unknown[] = [];
    let joined = 0;
    const hooks = { onSubscribed: () => (joined += 1) };
    const offs = [
      client.subscribe('room:7', ({ event, data, topic }) => got.push([event, data, topic]), hooks),
      client.presence('room:7', (change) => changes.push(change), hooks),
    ];
    await eventually(() => expect(changes).toEqual([{ joined: ['ada'], left: [], count: 1 }]));
    offs.push(client.subscribe('room:7', () => undefined, hooks));
    await eventually(() => expect(joined).toBe(3));
    client.send('say', { topic: 'room:7', text: 'hello' });
    await eventually(() => expect(got).toEqual([['said', 'hello', 'room:7']]));
    for (const off of offs) {
      await expect(client.request('members', { topic: 'room:7' })).resolves.toBe(1);
      off();
      off();
    }
    await expect(client.request('members', { topic: 'room:7' })).resolves.toBe(0);
  });

  it('tell when the server refuses', async () => {
    const { client, errors } = await opened();
    const ends: unknown[] = [];
    client.subscribe('secret', () => undefined, {
      onEnd: ({ code, topic }) => ends.push([code, topic]),
    });
    client.presence('secret', () => undefined);
    await eventually(() => expect(ends).toEqual([['TOPIC_FORBIDDEN', 'secret']]));
    expect(errors).toMatchObject([{ code: 'TOPIC_FORBIDDEN', topic: 'secret' }]);
  });

  it('tell when the server takes the subscription away', async () => {
    const { client } = await opened();
    const ends: unknown[] = [];
    let joined = 0;
    client.subscribe('room:8', () => undefined, {
      onSubscribed: () => (joined += 1),
      onEnd: ({ code, message }) => ends.push([code, message]),
    });
    await eventually(() => expect(joined).toBe(1));
    managers()[0]!.send('unsubscribed', { topic: 'room:8', reason: 'removed' });
    await eventually(() =>
      expect(ends).toEqual([['UNSUBSCRIBED', 'The subscription has ended: removed.']]),
    );
  });

  it('subscribe again after a reconnect, and tell of the gap where no history is kept', async () => {
    const { client, gaps } = await opened();
    const got: unknown[] = [];
    let joined = 0;
    client.subscribe('room:9', ({ data }) => got.push(data), { onSubscribed: () => (joined += 1) });
    await eventually(() => expect(joined).toBe(1));
    client.send('close', { code: 1006 });
    await eventually(() => expect(joined).toBe(2));
    expect(gaps).toEqual([{ topic: 'room:9' }]);
    client.send('say', { topic: 'room:9', text: 'again' });
    await eventually(() => expect(got).toEqual(['again']));
  });

  it('can leave and enter before the server has replied', async () => {
    const { client, errors } = await opened();
    let joined = 0;
    const hooks = { onSubscribed: () => (joined += 1) };
    client.subscribe('room:1', () => undefined, hooks)();
    client.subscribe('room:1', () => undefined, hooks);
    await eventually(() => expect(joined).toBe(1));
    await expect(client.request('members', { topic: 'room:1' })).resolves.toBe(1);
    expect(errors).toEqual([]);
  });
});

describe('client.close()', () => {
  it('settles all that is open, and takes nothing more', async () => {
    const { client, states, errors, reached } = await opened();
    client.send('close', { code: 4440 });
    await reached('waiting');
    const ended = [
      client.request('hang', 1),
      client.request('hang', 1, { idempotent: true }),
      client.stream('count').next(),
    ];
    client.close();
    client.close();
    for (const promise of [...ended, client.request('echo'), client.stream('count').next()]) {
      await expect(promise).rejects.toMatchObject({
        code: 'CLOSED',
        message: 'The client is closed: 1000 closed by the app',
      });
    }
    expect(client.send('echo', 1)).toBe('dropped');
    client.subscribe('room:7', () => undefined);
    expect(errors).toMatchObject([{ code: 'CLOSED', topic: 'room:7' }]);
    expect(client.state).toBe('closed');
    expect(states.at(-1)).toEqual({ state: 'closed', code: 1000, reason: 'closed by the app' });
    await eventually(() => expect(managers()).toEqual([]));
  });
});
