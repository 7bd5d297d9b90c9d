import { afterEach, describe, expect, it } from '@jest/globals';
import {
  IsolatedGateway,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/app' })
class AppGateway {
  constructor(readonly manager: WebSocketManager) {}
}

let testApp: TestApp;
afterEach(() => testApp.close());

async function open(): Promise<{ factory: WebSocketManagerFactory; manager: WebSocketManager }> {
  testApp = await startApp({ providers: [AppGateway] });
  await testApp.connect('/app?user=ada');
  const factory = testApp.app.get(WebSocketManagerFactory);
  return { factory, manager: factory.managersOf('ada')[0]! };
}

const attempt = async (act: () => unknown): Promise<unknown> => act();

describe('A close code that cannot be sent', () => {
  it.each([
    '4001',
    '',
    Number.NaN,
    1.5,
    4000.5,
    -1,
    0,
    999,
    1004,
    1005,
    1006,
    1015,
    2999,
    5000,
    Number.POSITIVE_INFINITY,
    null,
    true,
    {},
    [4001],
  ] as never[])('is refused before anything happens: %p', async (code: number) => {
    const { factory, manager } = await open();
    for (const act of [
      () => manager.close(code),
      () => factory.disconnectUser('ada', { code }),
      () => factory.disconnectThread('ada', manager.context.threadId, { code }),
    ]) {
      await expect(attempt(act)).rejects.toThrow(RangeError);
    }
    expect(manager.state).toBe('ready');
  });
});

describe('A close reason', () => {
  it.each([
    ['a lone surrogate', 'a\ud800b', 'a\ufffdb'],
    ['a number', 7, '7'],
    ['a text of 200 bytes', 'é'.repeat(100), 'é'.repeat(61)],
  ] as [string, never, string][])(
    'that is %s is told as a text that fits',
    async (_name, reason, told) => {
      const { factory } = await open();
      const { closeReason } = factory.managersOf('ada')[0]!;
      expect(closeReason).toBeUndefined();
      const [manager] = factory.managersOf('ada');
      await factory.disconnectUser('ada', { reason });
      expect(manager!.closeReason!.reason).toBe(told);
    },
  );
});

describe('A socket whose methods throw', () => {
  it.each(['close', 'terminate', 'ping', 'pause', 'resume'] as const)(
    'ends its connection all the same: %s()',
    async (method) => {
      const { factory, manager } = await open();
      Object.defineProperty(manager.socket!, method, {
        value: () => {
          throw new Error('planted');
        },
      });
      await factory.disconnectUser('ada');
      await eventually(() => expect(manager.state).toBe('closed'));
      expect(factory.getStats().factoryMetrics.managersActive).toBe(0);
    },
  );
});

describe('Limits that are no limits', () => {
  it.each([0, -1, 1.5, Number.NaN, '5', null] as never[])(
    'are refused: %p',
    async (limit: number) => {
      const { factory } = await open();
      expect(() => factory.setLimits({ maxManagersPerUser: limit })).toThrow(RangeError);
      expect(() => factory.setLimits({ maxManagers: limit })).toThrow(RangeError);
      expect(factory.managersOf('ada')).toHaveLength(1);
    },
  );
});

describe('An id that belongs to no one', () => {
  it.each([undefined, null, 7, {}, '', '__proto__', 'a\ud800'] as never[])(
    'reaches no one: %p',
    async (id: string) => {
      const { factory } = await open();
      const emitter = testApp.app.get(WebSocketEmitter);
      const nothing = { sent: 0, queued: 0, dropped: 0 };
      expect(emitter.toUser(id).send('news')).toMatchObject(nothing);
      expect(emitter.toThread(id, id).send('news')).toMatchObject(nothing);
      expect(emitter.toConnection(id).send('news')).toMatchObject(nothing);
      expect(await factory.disconnectUser(id)).toBe(0);
      expect(await factory.cleanupManager(id)).toBe(false);
      expect(factory.managersOf(id)).toEqual([]);
      expect(factory.getManager(id)).toBeUndefined();
      expect(factory.managersOf('ada')).toHaveLength(1);
    },
  );
});
