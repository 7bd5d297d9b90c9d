import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { CallHandler, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { UseInterceptors } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway, WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import { eventually, expectNoLeaks, type TestClient } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

class Passing implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): ReturnType<CallHandler['handle']> {
    return next.handle();
  }
}

let started = 0;
let returned = 0;
let release!: () => void;
let released: Promise<void>;

/** A stream that tells when it is ended without having been read. */
function stream(): AsyncIterableIterator<object> {
  const source = {
    [Symbol.asyncIterator]: () => source,
    next: async () => ({ done: false as const, value: { event: 'item' } }),
    return: async () => {
      returned += 1;
      return { done: true as const, value: undefined };
    },
  };
  return source;
}

/** A web stream that another reader has: it cannot be read, and throws when it is asked to. */
function locked(): ReadableStream {
  const readable = new ReadableStream();
  readable.getReader();
  return readable;
}

@IsolatedGateway({ path: '/late' })
class LateGateway {
  @SubscribeMessage('plain')
  async plain(): Promise<unknown> {
    started += 1;
    await released;
    return stream();
  }

  @UseInterceptors(Passing)
  @SubscribeMessage('intercepted')
  async intercepted(): Promise<unknown> {
    return this.plain();
  }

  @SubscribeMessage('locked')
  async locked(): Promise<unknown> {
    return locked();
  }

  @UseInterceptors(Passing)
  @SubscribeMessage('locked, intercepted')
  async lockedIntercepted(): Promise<unknown> {
    return locked();
  }

  @SubscribeMessage('echo')
  echo(): object {
    return { event: 'echo' };
  }
}

// What a handler returns is read in a callback of its promise or observable: an error there would end the process.
describe('A stream that a handler returns', () => {
  let app: TestApp;
  let client: TestClient;
  beforeEach(async () => {
    started = 0;
    returned = 0;
    released = new Promise((resolve) => (release = resolve));
    app = await startApp({ providers: [LateGateway] });
    client = await app.connect('/late?user=ada');
  });
  afterEach(() => app.close());

  it.each(['plain', 'intercepted'])(
    'is ended unread when its connection has begun to close meanwhile (%s)',
    async (event) => {
      client.send(event, undefined, 1);
      await eventually(() => expect(started).toBe(1));
      const manager = app.app.get(WebSocketManagerFactory).managersOf('ada')[0]!;
      // Its socket stays open until the client reads the close frame.
      client.socket.pause();
      const closed = manager.close();
      release();
      await eventually(() => expect(returned).toBe(1));
      expect(manager.state).toBe('closing');
      client.socket.resume();
      await closed;
      expect(manager.getStats()).toMatchObject({ errorCount: 0 });
    },
  );

  it.each(['locked', 'locked, intercepted'])(
    'and that cannot be read is a failure of the handler (%s)',
    async (event) => {
      const { data } = await client.ask(event, undefined, 1);
      expect(data).toMatchObject({ code: 'INTERNAL_ERROR', id: 1 });
      const open = app.app.get(WebSocketManagerFactory).managersOf('ada');
      expect(open.map(({ pins, openStreams }) => [pins, openStreams])).toEqual([[[], []]]);
      expect((await client.ask('echo')).event).toBe('echo');
      await client.close();
      open.length = 0;
      await expectNoLeaks(app.app);
    },
  );
});
