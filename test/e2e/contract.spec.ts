import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  AskRejectedError,
  IsolatedGateway,
  UserExecutionContext,
  WebSocketEmitter,
  type WebSocketIsolationOptions,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import {
  type DataOf,
  defineContract,
  type StandardSchema,
} from 'nestjs-websocket-isolation/contract';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';
import { type } from 'arktype';
import * as v from 'valibot';
import { z } from 'zod';

import { TrafficCounters } from '../../src/connection/traffic-counters.js';
import { chat } from '../support/chat-contract.js';
import { startApp, type TestApp } from '../support/test-app.js';

type Chat = typeof chat;

let app: TestApp;
afterEach(async () => app?.close());

async function start(
  gateway: new (...args: never[]) => object,
  options: WebSocketIsolationOptions = {},
): Promise<TestClient> {
  app = await startApp({ providers: [gateway], options });
  return app.connect('/chat?user=ada&thread=tea');
}

function ignored(): TrafficCounters['ignored'] {
  return app.app.get(TrafficCounters, { strict: false }).ignored;
}

describe('a gateway with a contract', () => {
  let seen: unknown[];
  let asked: unknown;

  @IsolatedGateway({ path: '/chat', contract: chat })
  class ChatGateway {
    constructor(
      private readonly emitter: WebSocketEmitter,
      private readonly manager: WebSocketManager,
    ) {}

    @SubscribeMessage('say')
    say(@MessageBody() data: DataOf<Chat, 'say'>) {
      seen.push(data);
      this.emitter.toAll().send('said', { by: 'ada', text: data.text });
      return { number: seen.length };
    }

    @SubscribeMessage('count')
    async *count(@MessageBody() { to }: DataOf<Chat, 'count'>) {
      for (let number = 1; number <= to; number += 1) yield number;
    }

    @SubscribeMessage('leave')
    leave(@MessageBody() data: DataOf<Chat, 'leave'>): void {
      seen.push(data);
    }

    @SubscribeMessage('ping')
    async ping() {
      try {
        return { event: 'pong', data: await this.manager.ask('age') };
      } catch (error) {
        asked = error;
        throw error;
      }
    }
  }

  let client: TestClient;
  beforeEach(async () => {
    seen = [];
    client = await start(ChatGateway);
  });

  async function question(event: string): Promise<{ ask: string }> {
    return (await client.next(event)) as unknown as { ask: string };
  }

  it('gives handlers what the schema makes of the data', async () => {
    client.send('say', { text: '  tea?  ' }, 1);
    expect(await client.next('say')).toEqual({ event: 'say', data: { number: 1 }, id: 1 });
    expect(seen).toEqual([{ text: 'tea?', at: 'now' }]);
    expect(await client.next('said')).toEqual({ event: 'said', data: { by: 'ada', text: 'tea?' } });
  });

  it('refuses data that does not fit, says what is wrong and where, and counts it', async () => {
    client.send('say', { text: ' ', at: 5 }, 'a');
    const { event, data } = await client.next();
    expect(event).toBe('exception');
    expect(data).toEqual({
      status: 'error',
      code: 'INVALID_PAYLOAD',
      message: expect.stringContaining('The data of "say" does not fit the contract: text: '),
      issues: [
        { path: ['text'], message: expect.any(String) },
        { path: ['at'], message: expect.any(String) },
      ],
      id: 'a',
    });
    expect(seen).toEqual([]);
    expect(ignored()['invalid-payload']).toBe(1);
    // And the connection goes on.
    client.send('say', { text: 'tea' }, 'b');
    expect((await client.next('say')).id).toBe('b');
  });

  it('refuses data that is missing', async () => {
    client.send('say', undefined, 1);
    expect((await client.next()).data).toMatchObject({
      code: 'INVALID_PAYLOAD',
      issues: [{ path: [] }],
    });
    client.send('leave', undefined, 2);
    expect(await client.next()).toEqual({ event: 'ack', id: 2 });
  });

  it('sends the items of a stream as data of their message', async () => {
    client.send('count', { to: 3 }, 7);
    const frames = [
      await client.next(),
      await client.next(),
      await client.next(),
      await client.next(),
    ];
    expect(frames).toEqual([
      { event: 'count', data: 1, id: 7 },
      { event: 'count', data: 2, id: 7 },
      { event: 'count', data: 3, id: 7 },
      { event: 'complete', id: 7 },
    ]);
  });

  it('rejects a question that is answered with data that does not fit, and tells the client', async () => {
    client.send('ping', undefined, 1);
    const { ask } = await question('age');
    client.socket.send(JSON.stringify({ event: 'answer', ask, data: 'old' }));
    const refused = await client.next('exception');
    expect(refused.data).toMatchObject({
      code: 'INVALID_PAYLOAD',
      message: expect.stringContaining('The data of the answer to "age"'),
    });
    expect(await client.next()).toMatchObject({ data: { code: 'INTERNAL_ERROR', id: 1 } });
    expect(asked).toBeInstanceOf(AskRejectedError);
    expect(asked).toMatchObject({ clientCode: 'INVALID_PAYLOAD' });
    expect(ignored()['invalid-payload']).toBe(1);
  });

  it('takes the refusal of a client without a check', async () => {
    client.send('ping', undefined, 1);
    const { ask } = await question('age');
    client.socket.send(JSON.stringify({ event: 'answer', ask, error: { code: 'SECRET' } }));
    await client.next('exception');
    expect(asked).toMatchObject({ clientCode: 'SECRET' });
  });

  it('leaves binary frames and events outside of the contract as they are', async () => {
    client.socket.send(Buffer.from([1, 2, 3]));
    client.send('toString', {}, 1);
    expect(await client.next()).toMatchObject({ data: { code: 'UNKNOWN_EVENT', id: 1 } });
    expect(ignored()).toMatchObject({ 'not-json': 1, 'unknown-event': 1, 'invalid-payload': 0 });
  });

  it('checks the answers of clients', async () => {
    client.send('ping');
    const { ask } = await question('age');
    client.socket.send(JSON.stringify({ event: 'answer', ask, data: '36' }));
    expect(await client.next()).toEqual({ event: 'pong', data: 36 });
  });
});

/** A schema that the test decides about. */
function schema(validate: StandardSchema['~standard']['validate']): StandardSchema {
  return { '~standard': { version: 1, vendor: 'test', validate } };
}

/** A gateway that handles `say` and `other`, and whose `say` has this schema. */
function gatewayWith(data: StandardSchema, handled: unknown[] = []): new () => object {
  const contract = defineContract({ client: { say: { data }, other: {} } });
  @IsolatedGateway({ path: '/chat', contract })
  class Gateway {
    @SubscribeMessage('say')
    say(@MessageBody() body: unknown): void {
      handled.push(body);
    }

    @SubscribeMessage('other')
    other(): void {
      handled.push('other');
    }
  }
  return Gateway;
}

describe('a schema', () => {
  it.each([
    ['zod', z.object({ text: z.string().min(1) })],
    ['valibot', v.object({ text: v.pipe(v.string(), v.minLength(1)) })],
    ['arktype', type({ text: 'string > 0' })],
  ])('may be of %s', async (_vendor, of) => {
    const handled: unknown[] = [];
    const client = await start(gatewayWith(of, handled));
    client.send('say', { text: '' }, 1);
    expect((await client.next()).data).toMatchObject({ issues: [{ path: ['text'] }] });
    client.send('say', { text: 'tea' }, 2);
    expect(await client.next()).toEqual({ event: 'ack', id: 2 });
    expect(handled).toEqual([{ text: 'tea' }]);
  });

  it('may be asynchronous', async () => {
    const handled: unknown[] = [];
    const of = z.string().refine(async (text) => Promise.resolve(text !== 'taken'), 'taken');
    const client = await start(gatewayWith(of, handled));
    client.send('say', 'taken', 1);
    expect((await client.next()).data.issues).toEqual([{ path: [], message: 'taken' }]);
    client.send('say', 'free', 2);
    expect(await client.next()).toEqual({ event: 'ack', id: 2 });
    expect(handled).toEqual(['free']);
  });

  it('runs in the context of the connection', async () => {
    const users: string[] = [];
    const of = schema(async (value) => {
      users.push(UserExecutionContext.current().userId);
      await Promise.resolve();
      users.push(UserExecutionContext.current().userId);
      return { value };
    });
    const client = await start(gatewayWith(of));
    client.send('say', 1, 1);
    await client.next();
    expect(users).toEqual(['ada', 'ada']);
  });

  it('keeps the order of messages, where handlers run one after another', async () => {
    const handled: unknown[] = [];
    let decide: (() => void) | undefined;
    const of = schema((value) => new Promise((resolve) => (decide = () => resolve({ value }))));
    const client = await start(gatewayWith(of, handled), { inbound: { concurrency: 1 } });
    client.send('say', 'first', 1);
    client.send('other', undefined, 2);
    const { inFlight } = app.app.get(TrafficCounters, { strict: false });
    expect(inFlight).toBe(0);
    await eventually(() =>
      expect(app.app.get(TrafficCounters, { strict: false }).received).toBe(2),
    );
    decide!();
    expect([await client.next(), await client.next()].map(({ id }) => id)).toEqual([1, 2]);
    expect(handled).toEqual(['first', 'other']);
    await eventually(() =>
      expect(app.app.get(TrafficCounters, { strict: false }).inFlight).toBe(0),
    );
  });

  it.each<[string, StandardSchema['~standard']['validate']]>([
    [
      'throws',
      () => {
        throw new Error('secret');
      },
    ],
    ['rejects', () => Promise.reject(new Error('secret'))],
    ['returns nothing', () => undefined as never],
    ['returns true', () => true as never],
    ['returns neither a value nor issues', () => ({}) as never],
    ['returns issues that are no list', () => ({ value: 1, issues: 'none' }) as never],
    ['resolves to nothing', () => Promise.resolve(null as never)],
    ['never decides', () => new Promise(() => undefined)],
  ])('that %s admits nothing, and says nothing of it to the client', async (_what, validate) => {
    const handled: unknown[] = [];
    const options = { inbound: { validationTimeoutMs: 50 } };
    const client = await start(gatewayWith(schema(validate), handled), options);
    client.send('say', 1, 1);
    const { data, id } = await client.next();
    expect({ data, id }).toEqual({
      data: { status: 'error', code: 'INTERNAL_ERROR', message: 'Internal server error', id: 1 },
      id: undefined,
    });
    client.send('other', undefined, 2);
    expect(await client.next()).toEqual({ event: 'ack', id: 2 });
    expect(handled).toEqual(['other']);
  });

  it('cannot make the refusal larger than it has to be', async () => {
    const long = 'x'.repeat(10_000);
    const issues = Array.from({ length: 1_000 }, () => ({
      message: long,
      path: Array.from({ length: 1_000 }, (_, index) => (index % 2 ? { key: long } : Symbol('s'))),
    }));
    const client = await start(gatewayWith(schema(() => ({ issues }))));
    client.send('say', 1, 1);
    const { data } = await client.next();
    expect(data.issues).toHaveLength(20);
    expect(JSON.stringify(data).length).toBeLessThan(100_000);
  });

  it('that decides after the connection has closed starts no handler', async () => {
    const handled: unknown[] = [];
    let decide: (() => void) | undefined;
    const of = schema((value) => new Promise((resolve) => (decide = () => resolve({ value }))));
    const client = await start(gatewayWith(of, handled));
    client.send('say', 1, 1);
    await eventually(() =>
      expect(app.app.get(TrafficCounters, { strict: false }).inFlight).toBe(1),
    );
    client.terminate();
    const factory = app.app.get(WebSocketManagerFactory, { strict: false });
    await eventually(() => expect(factory.managersOf('ada')).toEqual([]));
    decide!();
    await eventually(() => expect(ignored().closing).toBe(1));
    expect(handled).toEqual([]);
    expect(app.app.get(TrafficCounters, { strict: false }).inFlight).toBe(0);
  });
});

describe('the reply of a handler', () => {
  const contract = defineContract({
    client: {
      say: { reply: z.object({ number: z.number() }) },
      count: { stream: z.number() },
      nothing: { reply: z.null() },
    },
  });

  @IsolatedGateway({ path: '/chat', contract })
  class Wrong {
    @SubscribeMessage('say')
    say(@MessageBody() body: unknown): unknown {
      return body;
    }

    @SubscribeMessage('count')
    async *count(): AsyncGenerator {
      yield 1;
      yield 'two';
      yield 3;
    }

    @SubscribeMessage('nothing')
    nothing(): null {
      return null;
    }
  }

  it('is not sent where it does not fit, and the log has the reason', async () => {
    const client = await start(Wrong);
    client.send('say', { number: '1' }, 1);
    expect((await client.next()).data).toMatchObject({ code: 'INTERNAL_ERROR', id: 1 });
    client.send('count', undefined, 2);
    expect(await client.next()).toEqual({ event: 'count', data: 1, id: 2 });
    expect((await client.next()).data).toMatchObject({ code: 'INTERNAL_ERROR', id: 2 });
  });

  it('is sent unchecked without `outbound.checkReplies`', async () => {
    const client = await start(Wrong, { outbound: { checkReplies: false } });
    client.send('say', { number: '1' }, 1);
    expect(await client.next()).toEqual({ event: 'say', data: { number: '1' }, id: 1 });
  });

  it('may be a message as everywhere in Nest', async () => {
    const client = await start(Wrong);
    client.send('say', { event: 'said', data: { number: 1 } }, 1);
    expect(await client.next()).toEqual({ event: 'said', data: { number: 1 }, id: 1 });
  });

  it('may be null, where the contract says so', async () => {
    const client = await start(Wrong);
    client.send('nothing', undefined, 1);
    expect(await client.next()).toEqual({ event: 'nothing', data: null, id: 1 });
  });
});

describe('a boot', () => {
  it('stops for a handler that the contract does not have', async () => {
    @IsolatedGateway({ path: '/chat', contract: defineContract({}) })
    class Gateway {
      @SubscribeMessage('shout')
      shout(): void {}
    }
    await expect(start(Gateway)).rejects.toMatchObject({
      code: 'CONTRACT_MISMATCH',
      message: expect.stringContaining('Gateway handles "shout"'),
    });
  });

  it('stops for two contracts on one path that define one event differently', async () => {
    const first = gatewayWith(z.string());
    const second = gatewayWith(z.number());
    await expect(startApp({ providers: [first, second] })).rejects.toMatchObject({
      code: 'CONTRACT_MISMATCH',
    });
  });

  it('stops for a contract that is none', async () => {
    @IsolatedGateway({ path: '/chat', contract: { client: {} } as never })
    class Gateway {}
    await expect(start(Gateway)).rejects.toMatchObject({ code: 'INVALID_CONTRACT' });
  });

  it('warns of messages that no gateway handles', async () => {
    const lines: string[] = [];
    const take = (line: unknown): void => void lines.push(String(line));
    const logger = { log: take, warn: take, error: take, debug: take };
    @IsolatedGateway({ path: '/chat', contract: defineContract({ client: { say: {} } }) })
    class Gateway {}
    app = await startApp({ providers: [Gateway], logger });
    expect(lines.filter((line) => line.includes('"say"'))).toEqual([
      expect.stringContaining('The contract of /chat has the message "say"'),
    ]);
  });

  it.each<[string, unknown, string]>([
    ['null', null, 'a contract to be an object, got null'],
    ['an unknown group', { clients: {} }, 'got `clients`'],
    ['a list', { client: [] }, '`client` to be an object, got an array'],
    ['an unknown field', { client: { say: { body: z.string() } } }, 'got `body`'],
    [
      'a reply and a stream',
      { client: { say: { reply: z.string(), stream: z.string() } } },
      'both',
    ],
    ['no schema', { server: { said: { data: String } } }, '`server.said.data` to be a schema'],
    [
      'an event of this library',
      { server: { ack: {} } },
      '`server.ack` is an event of this library',
    ],
    ['a topic without messages', { topics: { room: 1 } }, "`topics['room']` to be an object"],
  ])('never sees %s', (_what, definition, text) => {
    expect(() => defineContract(definition as never)).toThrow(text);
  });
});
