import { afterEach, describe, expect, it } from '@jest/globals';
import { type CallHandler, type NestInterceptor, UseInterceptors } from '@nestjs/common';
import { MessageBody, type OnGatewayDisconnect, SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway, WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { map, type Observable, of } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

function thrower(): never {
  throw new Error('not to be read');
}

/** What a handler may return that throws when it is read. */
const RESULTS: Readonly<Record<string, () => unknown>> = {
  'a stream that has another reader': () => {
    const stream = new ReadableStream();
    stream.getReader();
    return stream;
  },
  'an object whose iterator is no function': () => ({ [Symbol.asyncIterator]: 'no function' }),
  'an object whose iterator cannot be made': () => ({ [Symbol.asyncIterator]: thrower }),
  'an object whose iterator is nothing': () => ({ [Symbol.asyncIterator]: () => undefined }),
  'an object that cannot be searched': () => new Proxy({}, { has: thrower, get: () => undefined }),
  'an object that cannot be read': () =>
    new Proxy({}, { get: (_target, key) => (key === 'then' ? undefined : thrower()) }),
  'an observable that cannot be subscribed to': () => ({ lift: thrower, subscribe: thrower }),
};
/** As an item of another observable, this one is a plain object. */
const PLAIN_ITEM = 'an observable that cannot be subscribed to';

async function* none(): AsyncGenerator {}

class Pass implements NestInterceptor {
  intercept(_context: unknown, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(map((value) => value));
  }
}

let release: (() => void) | undefined;
let mayLeave: (() => void) | undefined;
let isLetGo = false;

@IsolatedGateway({ path: '/results' })
class ResultGateway implements OnGatewayDisconnect {
  @SubscribeMessage('at once')
  atOnce(@MessageBody() result: string): unknown {
    return RESULTS[result]!();
  }

  @SubscribeMessage('promised')
  async promised(@MessageBody() result: string): Promise<unknown> {
    await Promise.resolve();
    return RESULTS[result]!();
  }

  @UseInterceptors(Pass)
  @SubscribeMessage('intercepted')
  async intercepted(@MessageBody() result: string): Promise<unknown> {
    await Promise.resolve();
    return RESULTS[result]!();
  }

  @SubscribeMessage('observed')
  observed(@MessageBody() result: string): Observable<unknown> {
    return of(RESULTS[result]!());
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown): object {
    return { event: 'echo', data };
  }

  @UseInterceptors(Pass)
  @SubscribeMessage('late')
  async late(): Promise<unknown> {
    await new Promise<void>((resolve) => (release = resolve));
    return Object.assign(none(), {
      return: () => {
        isLetGo = true;
        return Promise.resolve({ done: true, value: undefined });
      },
    });
  }

  /** Waits where the handler `late` runs. */
  async handleDisconnect(): Promise<void> {
    if (release) await new Promise<void>((resolve) => (mayLeave = resolve));
  }
}

let app: TestApp;
afterEach(async () => {
  mayLeave?.();
  await app.close();
});

const start = async (): Promise<void> => {
  [release, mayLeave, isLetGo] = [undefined, undefined, false];
  app = await startApp({
    providers: [ResultGateway],
    logger: false,
    options: { inbound: { concurrency: 1 }, cleanup: { disposeTimeoutMs: 600_000 } },
  });
};

describe('a result that throws when it is read', () => {
  const cases = Object.keys(RESULTS).flatMap((result) =>
    ['at once', 'promised', 'intercepted', ...(result === PLAIN_ITEM ? [] : ['observed'])].map(
      (way) => [result, way] as const,
    ),
  );

  it.each(cases)(
    'is an `exception`, and frees the place of its handler: %s, %s',
    async (result, way) => {
      await start();
      const client = await app.connect('/results?user=ada');
      client.send(way, result, 1);
      expect((await client.next('exception')).data).toMatchObject({ id: 1 });
      expect((await client.ask('echo', 'on')).data).toBe('on');
      const [manager] = app.app.get(WebSocketManagerFactory).managersOf('ada');
      await eventually(() => expect(manager!.openStreams).toEqual([]));
      expect(manager!.isPinned).toBe(false);
      mayLeave?.();
    },
  );
});

describe('a stream that an intercepted handler returns while its connection closes', () => {
  it('is let go', async () => {
    await start();
    const client = await app.connect('/results?user=ada');
    client.send('late', undefined, 1);
    await eventually(() => expect(release).toBeDefined());
    client.terminate();
    await eventually(() => expect(mayLeave).toBeDefined());
    release!();
    await eventually(() => expect(isLetGo).toBe(true));
  });
});
