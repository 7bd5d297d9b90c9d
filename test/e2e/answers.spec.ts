import { Readable } from 'node:stream';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  IsolationEventBus,
  WebSocketEmitter,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import { TestClient } from 'nestjs-websocket-isolation/testing';
import { of } from 'rxjs';

import { TrafficCounters } from '../../src/connection/traffic-counters.js';
import { encodeAnswer } from '../../src/wire/frame-encoding.js';
import { startApp, type TestApp } from '../support/test-app.js';

let ended: string[];

async function* generate(): AsyncGenerator<number> {
  yield 1;
}

/** Products that record when they are ended before they were fully read. */
const watched = {
  generator: () => {
    const generator = generate();
    const end = generator.return.bind(generator);
    generator.return = (value) => {
      ended.push('generator');
      return end(value);
    };
    return generator;
  },
  stream: () =>
    new Readable({
      read: () => undefined,
      destroy: (_error, done) => {
        ended.push('stream');
        done(null);
      },
    }),
  'web stream': () => new ReadableStream({ cancel: () => void ended.push('web stream') }),
};

class Walkable {
  readonly #items = [1];
  [Symbol.iterator](): Iterator<number> {
    return this.#items.values();
  }
}

const circle: Record<string, unknown> = {};
circle['self'] = circle;

/** Values that JSON omits, writes as `{}`, or writes in a misleading form. */
const unsayable: Record<string, () => unknown> = {
  'generator that is not async': () => [1, 2].values(),
  map: () => new Map([[1, 2]]),
  set: () => new Set([1]),
  'weak map': () => new WeakMap(),
  'iterable of a class': () => new Walkable(),
  'search parameters': () => new URLSearchParams('a=1'),
  error: () => new Error('a secret'),
  'regular expression': () => /tea/u,
  'array buffer': () => new ArrayBuffer(8),
  function: () => () => 1,
  symbol: () => Symbol('s'),
  bigint: () => 1n,
  circle: () => circle,
  'toJSON that throws': () => ({
    toJSON: () => {
      throw new Error('no');
    },
  }),
};

/** Values that are unserializable only inside a reply. As the reply itself they are awaited, or their items are sent. */
const unsayableInside: Record<string, () => unknown> = {
  ...watched,
  'async iterable': () => ({ [Symbol.asyncIterator]: generate }),
  promise: () => Promise.resolve(1),
  'promise that rejects': () => Promise.reject(new Error('planned rejection')),
  observable: () => of(1),
};

@IsolatedGateway({ path: '/answers' })
class AnswerGateway {
  @SubscribeMessage('answer') answer(_client: object, name: string): unknown {
    return unsayable[name]!();
  }

  @SubscribeMessage('later') async later(_client: object, name: string): Promise<unknown> {
    await Promise.resolve();
    return unsayable[name]!();
  }

  @SubscribeMessage('data') data(_client: object, name: string): unknown {
    return { event: 'data', data: { ...unsayable, ...unsayableInside }[name]!() };
  }

  @SubscribeMessage('emission') emission(_client: object, name: string): unknown {
    return of(unsayable[name]!(), { event: 'after' });
  }

  @SubscribeMessage('send') send(
    @CurrentManager() manager: WebSocketManager,
  ): Record<string, unknown> {
    const results = Object.entries({ ...unsayable, ...unsayableInside }).map(([name, make]) => [
      name,
      manager.send(name, quiet(make())),
    ]);
    return { event: 'sent', data: Object.fromEntries(results) };
  }
}

/** Handles the rejection of a promise: that is the task of the code that creates it. */
function quiet(value: unknown): unknown {
  if (value instanceof Promise) value.catch(() => undefined);
  return value;
}

const REFUSED = {
  event: 'exception',
  data: { status: 'error', code: 'INTERNAL_ERROR', message: 'Internal server error' },
};

let app: TestApp;
let client: TestClient;
let failures: { event: string; error: Error }[];

beforeEach(async () => {
  ended = [];
  failures = [];
  app = await startApp({ providers: [AnswerGateway] });
  app.app.get(IsolationEventBus).on('handler-failed', ({ event, error }) => {
    failures.push({ event, error: error as Error });
  });
  client = await TestClient.open(app.url('/answers?user=ada'));
});
afterEach(() => app.close());

describe('an unserializable reply', () => {
  it.each(Object.keys(unsayable))('is replaced by an exception and logged: %s', async (name) => {
    for (const event of ['answer', 'later', 'data']) {
      const answer = await client.ask(event, name);
      expect({ event, answer }).toEqual({ event, answer: REFUSED });
    }
    expect(await client.ask('emission', name)).toEqual(REFUSED);
    expect(await client.next()).toEqual({ event: 'after' });
    expect(failures).toHaveLength(4);
    for (const { event, error } of failures) {
      expect(error).toMatchObject({
        code: 'UNSERIALIZABLE_ANSWER',
        message: expect.stringContaining(`The answer to "${event}" was not sent: `),
      });
    }
    expect(app.app.get(TrafficCounters).failed).toBe(failures.length);
  });

  it.each(Object.keys(unsayableInside))(
    'is refused as the data of a reply, too: %s',
    async (name) => {
      expect(await client.ask('data', name)).toEqual(REFUSED);
      expect(failures).toHaveLength(1);
    },
  );

  it('names what it is, and what to return instead', async () => {
    expect(await client.ask('data', 'generator', 7)).toEqual({
      event: 'exception',
      data: { ...REFUSED.data, id: 7 },
    });
    expect(failures[0]!.error.message).toBe(
      'The answer to "data" was not sent: JSON cannot express a stream (AsyncGenerator). ' +
        'Send plain objects, arrays, texts and numbers. ' +
        'Several answers to one message are an Observable or an async iterable.',
    );
  });

  it('is ended, so that it leaks no resources', async () => {
    for (const name of Object.keys(watched)) {
      await client.ask('data', name);
    }
    expect(ended).toEqual(Object.keys(watched));
  });
});

describe('unserializable data', () => {
  it('is not sent by send(), which returns the reason', async () => {
    const { data } = await client.ask('send');
    const names = Object.keys({ ...unsayable, ...unsayableInside });
    const dropped = Object.fromEntries(names.map((name) => [name, { dropped: 'unserializable' }]));
    expect(data).toEqual(dropped);
    expect(client.messages).toHaveLength(1);
  });

  it('is not sent by the emitter, which reports it as dropped', async () => {
    const emitter = app.app.get(WebSocketEmitter);
    const dropped = { sent: 0, queued: 0, dropped: 1 };
    expect(emitter.toUser('ada').send('map', new Map())).toEqual(dropped);
    expect(await emitter.toUser('ada').sendAsync('map', new Map())).toMatchObject(dropped);
    expect(client.messages).toEqual([]);
  });
});

describe('a serializable value is sent as JSON.stringify writes it', () => {
  class Dto {
    readonly name = 'tea';
    readonly map = new Map([[1, 2]]);
  }
  class Nothing {
    readonly #hidden = 1;
    get size(): number {
      return this.#hidden;
    }
  }
  class Page extends Walkable {
    readonly items = [1];
  }
  class List extends Array<number> {}
  const sayable: Record<string, unknown> = {
    date: new Date(0),
    buffer: Buffer.from('tea'),
    url: new URL('https://a.example/'),
    'instance of a class, and a Map deeper inside': new Dto(),
    'instance of a class without properties': new Nothing(),
    'iterable of a class with properties': new Page(),
    'subclass of Array': List.from([1]),
    'object without a prototype': Object.assign(Object.create(null), { a: 1 }),
    'typed array': Uint8Array.of(1, 2),
    'boxed text': Object('tea'),
    NaN: Number.NaN,
    text: 'tea',
    false: false,
    'empty object': {},
    'event without data': { event: 'e' },
    'error with fields': Object.assign(new Error('x'), { code: 'E' }),
  };

  it.each(Object.keys(sayable))('%s', (name) => {
    const value = sayable[name];
    expect(encodeAnswer(value)).toBe(JSON.stringify(value));
    const answer = { event: 'e', data: value };
    expect(encodeAnswer(answer)).toBe(JSON.stringify(answer));
  });
});
