import { afterEach, describe, expect, it } from '@jest/globals';
import {
  AskLimitError,
  AskRejectedError,
  AskTimeoutError,
  IsolatedGateway,
  NoReceiverError,
  WebSocketEmitter,
  type WebSocketIsolationOptions,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, FakeClock, type TestClient } from 'nestjs-websocket-isolation/testing';

import type { Asks } from '../../src/manager/asks.js';
import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/ask' })
class AskGateway {}

type Asked = TestClient['messages'][number] & { readonly ask: string };

let testApp: TestApp;
afterEach(() => testApp.close());

async function start(options: WebSocketIsolationOptions = {}): Promise<void> {
  testApp = await startApp({ providers: [AskGateway], options });
}
const open = (query: string): Promise<TestClient> => testApp.connect(`/ask?${query}`);
const emitter = (): WebSocketEmitter => testApp.app.get(WebSocketEmitter);
const asks = (): Pick<Asks<never>, 'size' | 'asked' | 'ignored'> =>
  testApp.app.get(WebSocketManagerFactory).bookkeeping.asks;
const settled = (asked: Promise<unknown>): Promise<unknown> =>
  asked.then(
    (value) => value,
    (error: unknown) => error,
  );

function reply(client: TestClient, { ask }: Asked, answer: object): void {
  client.socket.send(JSON.stringify({ event: 'answer', ask, ...answer }));
}
const next = (client: TestClient, event = 'sure?'): Promise<Asked> =>
  client.next(event) as Promise<Asked>;
const LONG = { timeoutMs: 600_000 };
const nothingLeft = (): void => {
  const { size, asked } = asks();
  expect({ size, asked }).toEqual({ size: 0, asked: 0 });
};

describe('emitter.toUser().ask', () => {
  it('resolves with the first answer, tells the others, and ignores their answers', async () => {
    await start();
    const [phone, laptop, other] = [
      await open('user=ada&thread=a'),
      await open('user=ada&thread=b'),
      await open('user=bob'),
    ];
    const asked = emitter().toUser('ada').ask<string>('sure?', { what: 'it' }, LONG);
    const [onPhone, onLaptop] = [await next(phone), await next(laptop)];
    expect(onPhone).toEqual({ event: 'sure?', data: { what: 'it' }, ask: onLaptop.ask });
    // A stranger who has learned of the id answers nothing.
    reply(other, onPhone, { data: 'stranger' });
    await eventually(() => expect(asks().ignored).toBe(1));
    reply(laptop, onLaptop, { data: 'yes' });
    expect(await asked).toBe('yes');
    expect(await phone.next('answered')).toEqual({ event: 'answered', ask: onPhone.ask });
    reply(phone, onPhone, { data: 'no' });
    await eventually(() => expect(asks().ignored).toBe(2));
    expect(laptop.messages.filter(({ event }) => event === 'answered')).toEqual([]);
    expect(other.messages).toEqual([]);
    nothingLeft();
  });

  it('counts the rejection of one connection when no other one can answer', async () => {
    await start();
    const [phone, laptop] = [await open('user=ada'), await open('user=ada')];
    const answered = emitter().toUser('ada').ask('sure?', null, LONG);
    reply(phone, await next(phone), { error: { code: 'NO_SCREEN', message: 'asleep' } });
    reply(laptop, await next(laptop), { data: 1 });
    expect(await answered).toBe(1);

    const rejected = settled(emitter().toUser('ada').ask('sure?', null, LONG));
    reply(phone, await next(phone), { error: { code: 'NO_SCREEN', message: 'asleep' } });
    await eventually(() => expect(asks().asked).toBe(1));
    laptop.terminate();
    const error = await rejected;
    expect(error).toBeInstanceOf(AskRejectedError);
    expect(error).toMatchObject({ clientCode: 'NO_SCREEN', clientMessage: 'asleep' });
    nothingLeft();
  });

  it('rejects without a connection, when all have closed, at its deadline and by its signal', async () => {
    const clock = new FakeClock();
    await start({ clock });
    const ada = emitter().toUser('ada');
    expect(await settled(ada.ask('sure?'))).toBeInstanceOf(NoReceiverError);
    const client = await open('user=ada');
    const late = settled(ada.ask('sure?', null, { timeoutMs: 50 }));
    const asked = await next(client);
    await clock.advance(50);
    expect(await late).toBeInstanceOf(AskTimeoutError);
    reply(client, asked, { data: 'late' });
    await eventually(() => expect(asks().ignored).toBe(1));

    const stop = new AbortController();
    const stopped = settled(ada.ask('sure?', null, { signal: stop.signal }));
    await next(client);
    stop.abort(new Error('enough'));
    expect(await stopped).toMatchObject({ message: 'enough' });
    expect(await settled(ada.ask('sure?', null, { signal: stop.signal }))).toMatchObject({
      message: 'enough',
    });

    const cut = settled(ada.ask('sure?'));
    client.terminate();
    expect(await cut).toBeInstanceOf(NoReceiverError);
    nothingLeft();
  });

  it('refuses what cannot be a question, and asks no connection that has too many', async () => {
    await start({ inbound: { maxAsks: 2 } });
    const client = await open('user=ada');
    const ada = emitter().toUser('ada');
    const circle: { self?: unknown } = {};
    circle.self = circle;
    await expect(ada.ask('sure?', circle)).rejects.toMatchObject({ code: 'SEND_FAILED' });
    for (const timeoutMs of [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5']) {
      const options = { timeoutMs: timeoutMs as number };
      await expect(ada.ask('sure?', null, options)).rejects.toThrow(RangeError);
    }
    const held = [ada.ask('sure?', 1, LONG), ada.ask('sure?', 2, LONG)];
    expect(await settled(ada.ask('sure?', 3, LONG))).toBeInstanceOf(AskLimitError);
    // A connection with room is asked all the same.
    const second = await open('user=ada');
    const third = ada.ask('sure?', 4, LONG);
    const asked = await next(second);
    expect(asked.data).toBe(4);
    reply(second, asked, { data: 'four' });
    expect(await third).toBe('four');
    for (const one of held) {
      reply(client, await next(client), { data: 'ok' });
      expect(await one).toBe('ok');
    }
    nothingLeft();
  });
});

describe('emitter.toThread().ask with resume on', () => {
  it('waits for a client, and asks one that comes back again', async () => {
    await start({ resume: {} });
    const asked = emitter().toThread('ada', 'tea').ask('sure?', 7, { timeoutMs: 600_000 });
    const other = await open('user=ada&thread=coffee');
    const first = await open('user=ada&thread=tea');
    const once = await next(first);
    expect(once).toMatchObject({ data: 7 });
    await first.close();
    const back = await open('user=ada&thread=tea');
    const again = await next(back);
    expect(again).toEqual(once);
    const tab = await open('user=ada&thread=tea');
    reply(tab, await next(tab), { data: 'from the tab' });
    expect(await asked).toBe('from the tab');
    expect(await back.next('answered')).toMatchObject({ ask: once.ask });
    const late = await open('user=ada&thread=tea');
    await late.next('resume');
    expect(late.messages.map(({ event }) => event)).toEqual(['resume']);
    expect(other.messages.map(({ event }) => event)).toEqual(['resume']);
    nothingLeft();
  });

  it('holds at most inbound.maxAsks questions for a thread, and leaves none behind', async () => {
    const clock = new FakeClock();
    await start({ resume: {}, inbound: { maxAsks: 2 }, clock });
    const tea = emitter().toThread('ada', 'tea');
    const held = [settled(tea.ask('sure?')), settled(tea.ask('sure?'))];
    expect(await settled(tea.ask('sure?'))).toBeInstanceOf(AskLimitError);
    await clock.advance(10_000);
    for (const one of held) expect(await one).toBeInstanceOf(AskTimeoutError);
    nothingLeft();
  });

  it('rejects what waits when the application ends', async () => {
    await start({ resume: {} });
    const asked = settled(emitter().toThread('ada', 'tea').ask('sure?'));
    await testApp.close();
    expect(await asked).toBeInstanceOf(NoReceiverError);
  });
});
