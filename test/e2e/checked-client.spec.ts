import { once } from 'node:events';

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  MessageSignal,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { connectChecked } from 'nestjs-websocket-isolation/checked';
import type { Client, ClientError } from 'nestjs-websocket-isolation/client';
import { defineContract, type StandardSchema } from 'nestjs-websocket-isolation/contract';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { WebSocket } from 'ws';
import { z } from 'zod';

import { startApp, type TestApp } from '../support/test-app.js';

const Line = z.object({ by: z.string().toUpperCase(), text: z.string() });
/** Decides when the test says so. */
const pending: (() => void)[] = [];
const slow: StandardSchema<string> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) =>
      new Promise((resolve) => pending.push(() => resolve({ value: `slow ${String(value)}` }))),
  },
};
const broken: StandardSchema<string> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: () => {
      throw new Error('no database');
    },
  },
};

const chat = defineContract({
  client: {
    say: { data: z.object({ reply: z.unknown() }), reply: z.object({ at: z.coerce.date() }) },
    count: { data: z.array(z.unknown()), stream: z.number().transform((number) => number * 2) },
    tell: {
      data: z.object({ event: z.string(), data: z.unknown(), topic: z.string().optional() }),
    },
    question: { data: z.object({ event: z.string(), data: z.unknown() }), reply: z.unknown() },
    slowly: { data: slow },
    ping: {},
  },
  server: { said: { data: Line }, tick: {}, slow: { data: slow }, broken: { data: broken } },
  asks: { confirm: { data: z.object({ text: z.string().trim() }), reply: z.boolean() } },
  topics: { 'room:{id}': { said: { data: Line }, slow: { data: slow } } },
});

/** A server that sends what it is told to, and so knows no contract. */
@IsolatedGateway({ path: '/loose' })
class LooseGateway {
  constructor(
    private readonly manager: WebSocketManager,
    private readonly emitter: WebSocketEmitter,
  ) {}

  @SubscribeMessage('say')
  say(@MessageBody() { reply }: { reply: unknown }) {
    return { event: 'say', data: reply };
  }

  @SubscribeMessage('count')
  async *count(@MessageBody() items: unknown[], @MessageSignal() signal: AbortSignal) {
    for (const item of items) {
      yield { event: 'count', data: item };
    }
    // Goes on until the client cancels.
    if (items.includes('wrong')) await once(signal, 'abort');
  }

  @SubscribeMessage('tell')
  tell(@MessageBody() { event, data, topic }: { event: string; data: unknown; topic?: string }) {
    if (topic === undefined) this.manager.send(event, data);
    else this.emitter.toTopic(topic).send(event, data);
  }

  @SubscribeMessage('question')
  async question(@MessageBody() { event, data }: { event: string; data: unknown }) {
    try {
      return { event: 'question', data: { answer: await this.manager.ask(event, data) } };
    } catch (error) {
      return { event: 'question', data: String(error) };
    }
  }
}

let server: TestApp;
let client: Client<typeof chat>;
let errors: ClientError[];

beforeAll(async () => {
  server = await startApp({
    providers: [LooseGateway],
    options: { topics: { authorizer: () => true } },
  });
});
afterEach(() => client?.close());
afterAll(() => server?.close());

function open(): typeof client {
  errors = [];
  client = connectChecked(server.url('/loose?user=ada'), { contract: chat, WebSocket });
  client.onError((error) => errors.push(error));
  return client;
}

const fault = (code: string, text: RegExp) =>
  expect.objectContaining({ code, message: expect.stringMatching(text) });

describe('what a checked client gets', () => {
  it('is what the schema makes of it', async () => {
    open();
    const got: unknown[] = [];
    client.on('said', (data, message) => got.push(data, message.data));
    client.on('tick', (data) => got.push(data));
    await client.request('tell', { event: 'said', data: { by: 'ada', text: 'tea', more: 1 } });
    await client.request('tell', { event: 'tick', data: undefined });
    const line = { by: 'ADA', text: 'tea' };
    expect(got).toEqual([line, line, undefined]);
    await expect(client.request('say', { reply: { at: 0 } })).resolves.toEqual({ at: new Date(0) });
    const items: number[] = [];
    for await (const item of client.stream('count', [1, 2])) items.push(item);
    expect(items).toEqual([2, 4]);
    client.answer('confirm', ({ text }) => text === 'tea');
    const asked = { event: 'confirm', data: { text: ' tea ' } };
    await expect(client.request('question', asked)).resolves.toEqual({ answer: true });
    expect(errors).toEqual([]);
  });

  it('is reported once, and reaches no listener, where a message does not fit', async () => {
    open();
    const got: unknown[] = [];
    client.on('said', (data) => got.push(data));
    client.on('said', (data) => got.push(data));
    await client.request('tell', { event: 'said', data: { by: 'ada' } });
    expect(errors).toEqual([fault('UNEXPECTED_DATA', /^The data of "said" .* text: .*string/)]);
    expect(errors[0]!.data).toMatchObject({ issues: [{ path: ['text'] }] });
    await client.request('tell', { event: 'broken', data: 1 });
    expect(errors).toHaveLength(1);
    client.on('broken', (data) => got.push(data));
    await client.request('tell', { event: 'broken', data: 1 });
    expect(errors[1]).toEqual(fault('UNEXPECTED_DATA', /could not be checked: no database/));
    expect(got).toEqual([]);
  });

  it('is checked by topic', async () => {
    open();
    const got: unknown[] = [];
    await new Promise<void>((resolve) => {
      const hooks = { onSubscribed: () => resolve() };
      client.subscribe('room:7', ({ event, data }) => got.push([event, data]), hooks);
    });
    const line = { by: 'ada', text: 'tea' };
    await client.request('tell', { event: 'said', data: line, topic: 'room:7' });
    await client.request('tell', { event: 'said', data: 'tea', topic: 'room:7' });
    await eventually(() => expect(errors).toEqual([fault('UNEXPECTED_DATA', /"said"/)]));
    expect(errors[0]!.topic).toBe('room:7');
    expect(got).toEqual([['said', { by: 'ADA', text: 'tea' }]]);
  });

  it('rejects a request, and ends a stream, where a reply does not fit', async () => {
    open();
    await expect(client.request('say', { reply: { at: 'never' } })).rejects.toEqual(
      fault('UNEXPECTED_DATA', /^The data of the reply to "say" .* at: /),
    );
    const items: number[] = [];
    const loop = async (): Promise<void> => {
      for await (const item of client.stream('count', [1, 'wrong', 3])) items.push(item);
    };
    await expect(loop()).rejects.toEqual(fault('UNEXPECTED_DATA', /an item of "count"/));
    expect(items).toEqual([2]);
    const [manager] = server.app.get(WebSocketManagerFactory).managersOf('ada');
    await eventually(() => expect([...manager!.openStreams]).toEqual([]));
  });

  it('tells the server of a question that does not fit', async () => {
    open();
    client.answer('confirm', () => true);
    const asked = { event: 'confirm', data: { text: 5 } };
    await expect(client.request('question', asked)).resolves.toMatch(/UNEXPECTED_DATA/);
    expect(errors).toEqual([fault('UNEXPECTED_DATA', /the question "confirm"/)]);
  });

  it('keeps its order while a schema takes time, also where the listener is taken back', async () => {
    open();
    const got: unknown[] = [];
    client.on('slow', (data) => got.push(data));
    const off = client.on('said', ({ text }) => got.push(text));
    client.on('tick', () => got.push('tick'));
    await client.request('tell', { event: 'slow', data: 'tea' });
    await client.request('tell', { event: 'said', data: { by: 'ada', text: 'said' } });
    await client.request('tell', { event: 'tick', data: undefined });
    expect(got).toEqual([]);
    off();
    pending.splice(0).forEach((decide) => decide());
    await eventually(() => expect(got).toEqual(['slow tea', 'tick']));
    await client.request('tell', { event: 'tick', data: undefined });
    expect(got).toHaveLength(3);
  });
});

describe('what a checked client sends', () => {
  it('has to fit, and goes out as it is', async () => {
    open();
    const wrong = { reply: 1, more: 2, event: 3 } as never;
    expect(() => client.send('tell', wrong)).toThrow(/^The data of "tell" .* event: .*string/);
    await expect(client.request('tell', wrong)).rejects.toEqual(fault('INVALID_PAYLOAD', /"tell"/));
    const stream = client.stream('count', 'many' as never);
    await expect(stream.next()).rejects.toEqual(fault('INVALID_PAYLOAD', /"count"/));
    await expect(stream.next()).resolves.toEqual({ done: true, value: undefined });
    // The server decides where the schema takes time.
    expect(client.send('slowly', 'tea')).not.toBe('dropped');
    expect(client.send('ping')).not.toBe('dropped');
  });

  it('is an error instead of an answer that does not fit', async () => {
    open();
    client.answer('confirm', () => 'yes' as never);
    const asked = { event: 'confirm', data: { text: 'sure?' } };
    await expect(client.request('question', asked)).resolves.toMatch(/INVALID_PAYLOAD/);
    expect(errors).toEqual([fault('INVALID_PAYLOAD', /the answer to "confirm"/)]);
  });

  it('needs a contract', () => {
    for (const contract of [undefined, { client: {} }] as never[]) {
      expect(() => connectChecked('ws://127.0.0.1', { contract, WebSocket })).toThrow(
        'contract: expected what defineContract() returns',
      );
    }
  });
});
