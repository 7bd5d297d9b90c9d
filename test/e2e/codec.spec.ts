import { afterEach, describe, expect, it } from '@jest/globals';
import { decode, encode } from '@msgpack/msgpack';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  type Codec,
  InvalidOptionsError,
  IsolatedGateway,
  IsolationEventBus,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketIsolationModule,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { WebSocket } from 'ws';

import { resolveOptions } from '../../src/config/resolve-options.js';
import { startApp, type TestApp } from '../support/test-app.js';

let encoded = 0;
let decodedBy: unknown[] = [];
const msgpack: Codec = {
  subprotocol: 'msgpack',
  encode: (message) => {
    encoded += 1;
    return encode(message);
  },
  decode: (frame) => {
    decodedBy.push(UserExecutionContext.current().userId);
    return decode(frame);
  },
};
/** Behaves as its tests say. */
let broken: Partial<Codec> = {};
const fragile: Codec = {
  subprotocol: 'fragile',
  encode: (message) => (broken.encode ?? JSON.stringify)(message),
  decode: (frame) => (broken.decode ?? ((given) => JSON.parse(String(given))))(frame),
};

@IsolatedGateway({ path: '/talk' })
class TalkGateway {
  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown) {
    return { event: 'echo', data };
  }

  @SubscribeMessage('count')
  async *count() {
    for (let index = 0; index < 3; index += 1) yield { event: 'item', data: index };
  }
}

/** A client that speaks a subprotocol. */
class Speaker {
  readonly messages: Record<string, unknown>[] = [];
  readonly kinds = new Set<boolean>();
  closeCode: number | undefined;

  private constructor(readonly socket: WebSocket) {
    socket.on('message', (frame: Buffer, isBinary: boolean) => {
      this.kinds.add(isBinary);
      this.messages.push((isBinary ? decode(frame) : JSON.parse(String(frame))) as never);
    });
    socket.on('close', (code) => (this.closeCode = code));
  }

  static async open(user: string, protocol: string): Promise<Speaker> {
    const url = testApp.url(`/talk?user=${user}`);
    const speaker = new Speaker(new WebSocket(url, protocol));
    await new Promise((resolve, reject) => {
      speaker.socket.on('open', resolve);
      speaker.socket.on('error', reject);
    });
    return speaker;
  }
}

/** The rules that an option breaks. */
const refused = (codec: unknown): unknown => {
  try {
    resolveOptions({ codec } as never);
    return 'accepted';
  } catch (error) {
    return error instanceof InvalidOptionsError && error.faults.map(({ rule }) => rule);
  }
};

let testApp: TestApp;
let faults: unknown[] = [];
afterEach(() => testApp.close());

async function start(): Promise<void> {
  encoded = 0;
  decodedBy = [];
  broken = {};
  faults = [];
  testApp = await startApp({ providers: [TalkGateway], options: { codec: [msgpack, fragile] } });
  testApp.app
    .get(IsolationEventBus)
    .on('hook-failed', ({ hook, error }) => void faults.push([hook, String(error)]));
}

describe('a codec', () => {
  it('carries everything that JSON carries: answers, streams, questions, refusals, topics', async () => {
    await start();
    const client = await Speaker.open('ada', 'msgpack');
    const [manager] = testApp.app.get(WebSocketManagerFactory).managersOf('ada');
    const say = (message: object): void => client.socket.send(encode(message));
    say({ event: 'echo', data: { n: [1, 'ä', null] }, id: 1 });
    say({ event: 'count', id: 2 });
    say({ event: 'nobody', id: 3 });
    client.socket.send(Buffer.from([0xc1]));
    await manager!.join('room');
    testApp.app.get(WebSocketEmitter).toTopic('room').send('said', { text: 'hi' });
    await eventually(() => expect(client.messages).toHaveLength(7));
    expect(client.messages).toEqual(
      expect.arrayContaining([
        { event: 'echo', data: { n: [1, 'ä', null] }, id: 1 },
        { event: 'item', data: 2, id: 2 },
        { event: 'complete', id: 2 },
        expect.objectContaining({ event: 'exception' }),
        { event: 'said', data: { text: 'hi' }, topic: 'room' },
      ]),
    );
    const answer = manager!.ask('sure');
    await eventually(() => expect(client.messages.at(-1)).toMatchObject({ event: 'sure' }));
    say({ event: 'answer', ask: client.messages.at(-1)!['ask'], data: true });
    expect(await answer).toBe(true);
    await manager!.sendAsync('last', 1);
    manager!.emitCritical('critical', 2);
    await eventually(() => expect(client.messages.at(-1)).toEqual({ event: 'critical', data: 2 }));
    expect([...client.kinds]).toEqual([true]);
    expect(new Set(decodedBy)).toEqual(new Set(['ada']));
  });

  it('encodes a message to many once, and connections without it get JSON', async () => {
    await start();
    const speakers = await Promise.all(
      ['a', 'b', 'c'].map((user) => Speaker.open(user, 'msgpack')),
    );
    const plain = await testApp.connect('/talk?user=d');
    const other = await testApp.connect('/talk?user=e');
    testApp.app.get(WebSocketEmitter).toAll().send('news', { n: 1 });
    const expected = { event: 'news', data: { n: 1 } };
    await eventually(() =>
      expect(speakers.map(({ messages }) => messages)).toEqual(speakers.map(() => [expected])),
    );
    expect((await plain.next('news')).data).toEqual({ n: 1 });
    expect((await other.next('news')).data).toEqual({ n: 1 });
    expect(encoded).toBe(1);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('no such field');
      },
      /encode\(\) threw/,
    ],
    ['returns a number', () => 5, /neither text nor bytes, but a value of type number/],
    [
      'returns a promise',
      () => Promise.reject(new Error('late')),
      /neither text nor bytes, but a promise/,
    ],
  ])(
    'whose encode() %s drops the message, says so, and keeps the connection',
    async (_what, encodeBadly, text) => {
      await start();
      const client = await Speaker.open('ada', 'fragile');
      const [manager] = testApp.app.get(WebSocketManagerFactory).managersOf('ada');
      broken = {
        encode: (message) =>
          JSON.stringify(message).includes('INTERNAL')
            ? JSON.stringify(message)
            : (encodeBadly() as never),
      };
      expect(manager!.send('a', 1)).toEqual({ dropped: 'unserializable' });
      await expect(manager!.sendAsync('a', 1)).rejects.toThrow('the codec has failed');
      expect(faults).toHaveLength(2);
      expect(faults[0]).toEqual(['codec', expect.stringMatching(text)]);
      client.socket.send(JSON.stringify({ event: 'echo', data: 1, id: 7 }));
      await eventually(() => expect(client.messages).toHaveLength(1));
      expect(client.messages[0]).toMatchObject({
        event: 'exception',
        data: { code: 'INTERNAL_ERROR', id: 7 },
      });
      broken = {};
      expect(manager!.send('a', 2)).toBe('sent');
      await eventually(() => expect(client.messages).toHaveLength(2));
      expect(client.closeCode).toBeUndefined();
    },
  );

  it.each([
    ['a number', () => 5],
    ['null', () => null],
    ['a promise', () => Promise.reject(new Error('late'))],
  ])(
    'whose decode() returns %s is reported; the frame is no message',
    async (_what, decodeBadly) => {
      await start();
      const client = await Speaker.open('ada', 'fragile');
      broken = { decode: decodeBadly };
      client.socket.send(JSON.stringify({ event: 'echo', data: 1, id: 7 }));
      await eventually(() => expect(client.messages).toHaveLength(1));
      expect(client.messages[0]).toMatchObject({
        event: 'exception',
        data: { code: 'NOT_JSON', id: 7 },
      });
      expect(faults).toEqual([['codec', expect.stringMatching(/decode\(\) returned no message/)]]);
      broken = {};
      client.socket.send(JSON.stringify({ event: 'echo', data: 1, id: 8 }));
      await eventually(() =>
        expect(client.messages.at(-1)).toMatchObject({ event: 'echo', id: 8 }),
      );
    },
  );

  it('that is none is refused at boot, by what is wrong with it', async () => {
    await start();
    const named = (subprotocol: unknown): object => ({ ...msgpack, subprotocol });
    expect(refused(msgpack)).toBe('accepted');
    expect(refused([msgpack, fragile])).toBe('accepted');
    expect(refused({})).toEqual([expect.stringContaining('must be a codec')]);
    expect(refused(named('two words'))).toEqual([expect.stringContaining('can offer')]);
    expect(refused(named('x'.repeat(33)))).toEqual([expect.stringContaining('32 characters')]);
    expect(refused(named('eyJx'))).toEqual([expect.stringContaining('credential')]);
    expect(refused([msgpack, msgpack])).toEqual([expect.stringContaining('second codec')]);
    expect(() => WebSocketIsolationModule.forRoot({ codec: msgpack })).not.toThrow();
  });
});
