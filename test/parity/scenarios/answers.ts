import { BadRequestException, UseInterceptors } from '@nestjs/common';
import { MessageBody, SubscribeMessage, WsException } from '@nestjs/websockets';
import { concat, delay, EMPTY, from, map, NEVER, type Observable, of, throwError } from 'rxjs';

import type { Scenario } from '../scenario.js';

const later = <T>(value: T): Promise<T> => new Promise((resolve) => setImmediate(resolve, value));

/** The values that a handler may return, one event per value. */
const values: Record<string, () => unknown> = {
  undefined: () => undefined,
  null: () => null,
  false: () => false,
  zero: () => 0,
  'empty text': () => '',
  text: () => 'tea',
  number: () => 42.5,
  NaN: () => Number.NaN,
  object: () => ({ a: { b: [1] } }),
  'empty object': () => ({}),
  array: () => [1, 'two', null],
  'event and data': () => ({ event: 'e', data: { a: 1 } }),
  'event without data': () => ({ event: 'e' }),
  date: () => new Date(0),
  buffer: () => Buffer.from('tea'),
  map: () => new Map([[1, 2]]),
  toJSON: () => ({ toJSON: () => 'said' }),
  function: () => () => 1,
  symbol: () => Symbol('s'),
  bigint: () => 1n,
  circle: () => {
    const circle: Record<string, unknown> = {};
    circle['self'] = circle;
    return circle;
  },
  promise: () => later({ event: 'p' }),
  'promise of undefined': () => later(undefined),
  'promise of a promise': () => later(later({ event: 'pp' })),
  // oxlint-disable-next-line unicorn/no-thenable -- handlers may return one
  thenable: () => ({ then: (resolve: (value: unknown) => void) => resolve({ event: 't' }) }),
  'promise of an observable': () => later(of({ event: 'po' }, { event: 'po2' })),
  observable: () => from([1, 2, 3]),
  'observable of nothing': () => EMPTY,
  'observable of undefined and null': () => of(undefined, null, 1),
  'observable of an observable': () => of(of(1)),
  'observable of promises': () => of(later(1)),
  'observable that does not end': () => concat(of(1), NEVER),
  'observable that breaks': () =>
    concat(
      of(1),
      throwError(() => new WsException('half')),
    ),
  'observable that breaks at once': () => throwError(() => new Error('secret')),
  'array of observables': () => [of(1)],
};

const errors: Record<string, () => unknown> = {
  WsException: () => new WsException('no tea'),
  'WsException of an object': () => new WsException({ code: 418, tea: true }),
  'WsException of a child': () => new (class TeaException extends WsException {})('child'),
  HttpException: () => new BadRequestException('bad'),
  Error: () => new Error('secret'),
  text: () => 'secret',
  undefined: () => undefined,
  null: () => null,
};

/** Each value as the reply of a handler, of an asynchronous handler, and of a handler behind an interceptor. */
const everyAnswer = Object.keys(values).map((name): Scenario => ({
  title: `answer: ${name}`,
  app: ({ gateway }) => {
    @gateway()
    class Gateway {
      @SubscribeMessage('sync') answer(): unknown {
        return values[name]!();
      }
      @SubscribeMessage('async') async asynchronous(): Promise<unknown> {
        await later(1);
        return values[name]!();
      }
      @UseInterceptors({ intercept: (_context, next) => next.handle() })
      @SubscribeMessage('intercepted')
      intercepted(): unknown {
        return values[name]!();
      }
    }
    return { providers: [Gateway] };
  },
  async script(session) {
    const ada = await session.connect('ada');
    for (const event of ['sync', 'async', 'intercepted']) await ada.send(event);
  },
}));

const everyError = Object.keys(errors).map((name): Scenario => ({
  title: `error: ${name}`,
  app: ({ gateway }) => {
    @gateway()
    class Gateway {
      @SubscribeMessage('sync') fail(@MessageBody() _data: unknown): unknown {
        throw errors[name]!();
      }
      @SubscribeMessage('async') async reject(): Promise<unknown> {
        await later(1);
        throw errors[name]!();
      }
      @UseInterceptors({ intercept: (_context, next) => next.handle() })
      @SubscribeMessage('intercepted')
      intercepted(): unknown {
        throw errors[name]!();
      }
    }
    return { providers: [Gateway] };
  },
  async script(session) {
    const ada = await session.connect('ada');
    for (const event of ['sync', 'async', 'intercepted']) await ada.send(event, { secret: 1 });
  },
}));

const overTime: Scenario = {
  title: 'answers over time, of several messages',
  app: ({ gateway }) => {
    @gateway()
    class Gateway {
      @SubscribeMessage('timer') timer(@MessageBody() name: string): Observable<unknown> {
        return from([1, 2]).pipe(
          delay(5),
          map((data) => ({ event: name, data })),
        );
      }
    }
    return { providers: [Gateway] };
  },
  async script(session) {
    const ada = await session.connect('ada');
    await ada.send('timer', 'a');
    await ada.until(2);
    await ada.send('timer', 'b');
    await ada.until(2);
  },
};

export const answers: readonly Scenario[] = [...everyAnswer, ...everyError, overTime];
