import type { EventEmitter } from 'node:events';

import { afterEach, describe, expect, it } from '@jest/globals';
import {
  IsolatedGateway,
  IsolationEventBus,
  type WebSocketIsolationOptions,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, FakeClock } from 'nestjs-websocket-isolation/testing';
import type { WebSocket } from 'ws';

import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/app' })
class AppGateway {
  constructor(readonly manager: WebSocketManager) {}
}

let testApp: TestApp;
afterEach(() => testApp.close());

async function open(
  options: WebSocketIsolationOptions = {},
): Promise<{ factory: WebSocketManagerFactory; manager: WebSocketManager }> {
  testApp = await startApp({ providers: [AppGateway], options });
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
  ] as never[])('is refused without side effects: %p', async (code: number) => {
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
    'that is %s is sent as a text that fits',
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
    'still ends its connection: %s()',
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

function plant({ socket }: WebSocketManager, method: string): void {
  Object.defineProperty(socket!, method, {
    value: () => {
      throw new Error('planted');
    },
  });
}

describe('A socket that throws', () => {
  it.each([
    ['send()', 'send', (manager) => manager.send('news')],
    ['send()', 'sendAsync', (manager) => manager.sendAsync('news')],
    ['send()', 'emitCritical', (manager) => manager.emitCritical('news')],
    ['ping()', 'the heartbeat', (manager) => manager.ping()],
  ] as [string, string, (manager: WebSocketManager) => unknown][])(
    'in %s ends only its own connection: %s',
    async (method, _name, act) => {
      const { factory, manager } = await open();
      const other = await testApp.connect('/app?user=bob');
      plant(manager, method.slice(0, -2));
      await attempt(() => act(manager)).catch(() => undefined);
      await eventually(() => expect(manager.state).toBe('closed'));
      expect(manager.closeReason).toMatchObject({ code: 1006, initiator: 'network' });
      expect(factory.managersOf('bob')[0]!.send('news')).toBe('sent');
      await other.next('news');
    },
  );

  it('is skipped when a message goes to many connections', async () => {
    const { factory, manager } = await open();
    const other = await testApp.connect('/app?user=ada');
    plant(manager, 'send');
    const report = testApp.app.get(WebSocketEmitter).toUser('ada').send('news');
    await other.next('news');
    expect(report).toMatchObject({ sent: 1 });
    await eventually(() => expect(factory.managersOf('ada')).toHaveLength(1));
  });

  it.each([undefined, null, 'reset', { code: 7 }])('may throw anything: %p', async (error) => {
    const { manager } = await open();
    (manager.socket as unknown as EventEmitter).emit('error', error);
    await eventually(() => expect(manager.state).toBe('closed'));
    expect(manager.closeReason!.code).toBe(1006);
  });
});

describe('A socket that never emits close', () => {
  it('is given up, and its slot is released', async () => {
    const clock = new FakeClock();
    const { factory, manager } = await open({ clock, cleanup: { closeTimeoutMs: 1_000 } });
    const socket = manager.socket as unknown as WebSocket;
    const terminate = socket.terminate.bind(socket);
    Object.defineProperty(socket, 'close', { value: () => undefined });
    Object.defineProperty(socket, 'terminate', { value: () => undefined });
    void factory.disconnectUser('ada');
    await eventually(async () => {
      await clock.advance(1_000);
      expect(manager.state).toBe('closed');
    });
    terminate();
  });
});

describe('Invalid limits', () => {
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

describe('An unknown limit', () => {
  it.each([{ maxManagerPerUser: 5 }, null, 5, undefined] as never[])(
    'is refused: %p',
    async (limits: object) => {
      const { factory } = await open();
      expect(() => factory.setLimits(limits)).toThrow(TypeError);
    },
  );
});

describe('An unknown id', () => {
  it.each(['', '__proto__', 'eve'])('reaches no connection: %p', async (id) => {
    const { factory } = await open();
    const emitter = testApp.app.get(WebSocketEmitter);
    const nothing = { sent: 0, queued: 0, dropped: 0 };
    expect(emitter.toUser(id).send('news')).toMatchObject(nothing);
    expect(emitter.toThread(id, id).send('news')).toMatchObject(nothing);
    expect(emitter.toConnection(id).send('news')).toMatchObject(nothing);
    expect(await factory.disconnectUser(id)).toBe(0);
    expect(await factory.disconnectThread('ada', id)).toBe(0);
    expect(await factory.cleanupManager(id)).toBe(false);
    expect(await factory.cleanupUser(id)).toBe(0);
    expect(factory.managersOf(id)).toEqual([]);
    expect(factory.getManager(id)).toBeUndefined();
    expect(factory.managersOf('ada')).toHaveLength(1);
  });
});

describe('An invalid id', () => {
  it.each([undefined, null, 7, {}, ['ada'], 'a\ud800'] as never[])(
    'is refused without side effects: %p',
    async (id: string) => {
      const { factory } = await open();
      const emitter = testApp.app.get(WebSocketEmitter);
      for (const act of [
        () => emitter.toUser(id),
        () => emitter.toThread(id, 't1'),
        () => emitter.toThread('ada', id),
        () => emitter.toConnection(id),
        () => factory.disconnect({ userId: id }),
        () => factory.disconnect({ connectionId: id }),
        () => factory.disconnectUser(id),
        () => factory.disconnectThread(id, 't1'),
        () => factory.disconnectThread('ada', id),
        () => factory.connectionsOf(id),
        () => factory.cleanupManager(id),
        () => factory.cleanupUser(id),
      ]) {
        await expect(attempt(act)).rejects.toThrow(TypeError);
      }
      expect(factory.managersOf(id)).toEqual([]);
      expect(factory.managersOf('ada')).toHaveLength(1);
    },
  );

  it.each([undefined, null, 'ada', {}] as never[])(
    'is refused as a target too: %p',
    async (target) => {
      const { factory } = await open();
      await expect(attempt(() => factory.disconnect(target))).rejects.toThrow(TypeError);
      expect(factory.managersOf('ada')).toHaveLength(1);
    },
  );

  it.each([null, 4001, 'signed out'] as never[])(
    'is refused with invalid options, too: %p',
    async (options) => {
      const { factory } = await open();
      await expect(attempt(() => factory.disconnectUser('ada', options))).rejects.toThrow(
        TypeError,
      );
      expect(factory.managersOf('ada')).toHaveLength(1);
    },
  );
});

describe('An event whose name is not a string', () => {
  it.each([undefined, null, 7, {}, ['news']] as never[])(
    'is refused, and the connection stays open: %p',
    async (event: string) => {
      const { manager } = await open();
      const emitter = testApp.app.get(WebSocketEmitter);
      for (const act of [
        () => manager.send(event),
        () => manager.sendAsync(event),
        () => manager.emitCritical(event),
        () => emitter.toUser('ada').send(event),
        () => emitter.toUser('eve').send(event),
        () => emitter.toThread('ada', manager.context.threadId).send(event),
        () => emitter.toConnection(manager.context.connectionId).send(event),
      ]) {
        await expect(attempt(act)).rejects.toThrow(TypeError);
      }
      expect(manager.send('news')).toBe('sent');
    },
  );
});

describe('A value that is not a function', () => {
  it.each([undefined, null, 'log', {}] as never[])(
    'is refused as a listener: %p',
    async (given) => {
      const { manager } = await open();
      const bus = testApp.app.get(IsolationEventBus);
      expect(() => bus.on('message-handled', given)).toThrow(TypeError);
      expect(() => bus.onAny(given)).toThrow(TypeError);
      expect(() => manager.onDispose(given)).toThrow(TypeError);
      const client = await testApp.connect('/app?user=bob');
      await client.close();
    },
  );

  it('cannot be subscribed to an unknown event', async () => {
    await open();
    const bus = testApp.app.get(IsolationEventBus);
    expect(() => bus.on('messages-handled' as never, () => undefined)).toThrow(/message-handled/);
  });
});
