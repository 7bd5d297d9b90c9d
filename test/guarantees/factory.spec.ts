import type { IncomingMessage } from 'node:http';

import { describe, expect, it } from '@jest/globals';

import { InvalidContextError } from '../../src/context/context.errors.js';
import { UserExecutionContext } from '../../src/context/user-execution-context.js';
import { getWebSocketManager } from '../../src/manager/get-web-socket-manager.js';
import {
  IsolationViolationError,
  ManagerClosedError,
  ManagerLimitError,
  SingletonAccessError,
} from '../../src/manager/manager.errors.js';
import { ConnectionRequest } from '../../src/scope/connection-request.js';
import { FakeSocket, Fleet } from '../support/fleet.js';

describe('the factory', () => {
  it('returns the same manager for the same context, even for concurrent calls', async () => {
    const fleet = new Fleet();
    const context = fleet.context('ada');
    const managers = await Promise.all(
      [1, 2, 3, 4, 5].map(() => fleet.factory.createManager(context)),
    );
    expect(new Set(managers).size).toBe(1);
    expect(fleet.factory.getStats().factoryMetrics.managersCreated).toBe(1);
  });

  it('returns the same manager for the same waiting context', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 1 } });
    await fleet.connect('ada', { isSilent: true });
    await fleet.clock.advance(5_000);
    const context = fleet.context('ada');
    const waiting = [fleet.factory.createManager(context), fleet.factory.createManager(context)];
    await fleet.clock.advance(5_000);
    const [first, second] = await Promise.all(waiting);
    expect(first).toBe(second);
    expect(fleet.live('ada')).toBe(1);
  });

  it('creates a new manager for a connection whose old one is closing, after its end', async () => {
    const fleet = new Fleet();
    const context = fleet.context('ada');
    const old = await fleet.factory.createManager(context);
    const order: string[] = [];
    old.onDispose(() => order.push('disposed'));
    const closing = old.close();
    const renewed = await fleet.factory.createManager(context);
    order.push('renewed');
    await closing;
    expect(order).toEqual(['disposed', 'renewed']);
    expect(renewed).not.toBe(old);
    expect(renewed.isActive).toBe(true);
  });

  it('resolves cleanupManager with true once, then with false, even for concurrent calls', async () => {
    const fleet = new Fleet();
    const { context } = await fleet.connect('ada');
    const ask = (): Promise<boolean> => fleet.factory.cleanupManager(context.connectionId);
    expect(await Promise.all([ask(), ask(), ask()])).toEqual([true, false, false]);
    expect(await ask()).toBe(false);
  });

  it('refuses connections and sockets of another user, and counts the violation', async () => {
    const fleet = new Fleet();
    const ada = await fleet.connect('ada');
    const { connectionId } = ada.context;
    const stolen = UserExecutionContext.fromWebSocketRequest({ userId: 'eve', connectionId });
    await expect(fleet.factory.createManager(stolen)).rejects.toBeInstanceOf(
      IsolationViolationError,
    );
    const socket = fleet.socketOf(ada);
    await expect(
      fleet.factory.createManager(fleet.context('eve'), { socket }),
    ).rejects.toMatchObject({
      code: 'ISOLATION_VIOLATION',
    });
    await expect(
      fleet.factory.createManager(ada.context, { socket: new FakeSocket() }),
    ).rejects.toBeInstanceOf(IsolationViolationError);
    expect(fleet.factory.getStats().factoryMetrics.securityViolationsDetected).toBe(3);
    expect(ada.isActive).toBe(true);
    expect(fleet.live('eve')).toBe(0);
  });

  it('has correct statistics at every instant, with five keys, and reading them changes nothing', async () => {
    const fleet = new Fleet();
    const [first] = await fleet.connectMany('ada', 3);
    await fleet.connect('bob');
    await fleet.clock.advance(10_000);
    await first!.close();
    await fleet.clock.advance(5_000);
    const stats = fleet.factory.getStats();
    expect(Object.keys(stats)).toEqual([
      'factoryMetrics',
      'configuration',
      'currentState',
      'userDistribution',
      'oldestManagerAgeSeconds',
    ]);
    expect(stats.factoryMetrics).toEqual({
      managersCreated: 4,
      managersActive: 3,
      managersCleanedUp: 1,
      usersWithActiveManagers: 2,
      resourceLimitHits: 0,
      totalConnectionsManaged: 4,
      securityViolationsDetected: 0,
      averageManagerLifetimeSeconds: 10,
    });
    expect(stats.userDistribution).toEqual({ ada: 2, bob: 1 });
    expect(stats.oldestManagerAgeSeconds).toBe(15);
    expect(fleet.factory.getStats()).toEqual(stats);
  });

  it('ends the connections of a user or a thread with a close code', async () => {
    const fleet = new Fleet();
    const [first, second] = await fleet.connectMany('ada', 2);
    const other = await fleet.factory.createManager(fleet.context('ada', 'coffee'), {
      socket: new FakeSocket(),
    });
    expect(await fleet.factory.disconnectThread('ada', 'coffee', { code: 4403 })).toBe(1);
    expect(other.state).toBe('closed');
    expect(first!.isActive).toBe(true);
    expect(await fleet.factory.disconnectUser('ada')).toBe(2);
    expect(fleet.socketOf(second!).closedWith).toEqual({ code: 4401, reason: 'disconnected' });
    expect(await fleet.factory.disconnectUser('nobody')).toBe(0);
    await expect(fleet.factory.disconnectUser('ada', { code: 1005 })).rejects.toThrow(RangeError);
  });

  it('refuses every call after its shutdown', async () => {
    const fleet = new Fleet();
    await fleet.connectMany('ada', 3);
    await fleet.factory.shutdown();
    expect(fleet.registry.size).toBe(0);
    await expect(fleet.connect('ada')).rejects.toBeInstanceOf(ManagerClosedError);
  });

  it('cannot be bypassed: there is no singleton', () => {
    expect(() => getWebSocketManager()).toThrow(SingletonAccessError);
    expect(() => getWebSocketManager()).toThrow(/Inject WebSocketManager/);
  });

  it('accepts exactly 20 of 200 simultaneous connections, a hundred times', async () => {
    for (let round = 0; round < 100; round += 1) {
      const fleet = new Fleet();
      const arrivals = await Promise.allSettled(
        Array.from({ length: 200 }, () => fleet.factory.createManager(fleet.context('ada'))),
      );
      const refused = arrivals.filter(
        ({ status }) => status === 'rejected',
      ) as PromiseRejectedResult[];
      expect(refused.length).toBe(180);
      expect(refused.every(({ reason }) => reason instanceof ManagerLimitError)).toBe(true);
      expect(fleet.live('ada')).toBe(20);
      await fleet.factory.managersOf('ada')[round % 20]!.close();
      await fleet.connect('ada');
      await expect(fleet.connect('ada')).rejects.toThrow(ManagerLimitError);
      expect(fleet.live('ada')).toBe(20);
    }
  });
});

describe('a manager', () => {
  it('has eight keys of statistics', async () => {
    const fleet = new Fleet();
    const manager = await fleet.connect('ada');
    manager.send('a', 1);
    await fleet.clock.advance(3_000);
    expect(manager.getStats()).toEqual({
      userContext: manager.context.toJSON(),
      managerId: `manager_${manager.context.connectionId}`,
      isActive: true,
      metrics: {
        connectionsManaged: 1,
        messagesSentTotal: 1,
        messagesFailedTotal: 0,
        lastActivity: new Date(fleet.clock.epoch() - 3_000),
        managerAgeSeconds: 3,
        cleanupScheduled: false,
      },
      connections: { total: 1, connectionIds: [manager.context.connectionId] },
      recoveryQueueSize: 0,
      errorCount: 0,
      lastError: null,
    });
  });

  it('returns from send() after it is closed, and throws or rejects in other actions', async () => {
    const fleet = new Fleet();
    const manager = await fleet.connect('ada');
    const { signal } = manager;
    const closing = manager.close(4000, 'bye');
    expect(signal.aborted).toBe(true);
    expect(manager.send('x', 1)).toEqual({ dropped: 'closed' });
    expect(() => manager.onDispose(() => undefined)).toThrow(ManagerClosedError);
    await closing;
    expect(manager.state).toBe('closed');
    expect(manager.send('x', 1)).toEqual({ dropped: 'closed' });
    expect(() => manager.pin('x')).toThrow(ManagerClosedError);
    expect(() => manager.emitCritical('x')).toThrow(ManagerClosedError);
    await expect(manager.sendAsync('x')).rejects.toBeInstanceOf(ManagerClosedError);
    await expect(manager.run('x', () => 1)).rejects.toBeInstanceOf(ManagerClosedError);
    await manager.close();
  });

  it('runs its disposers once, the last registered first, with errors contained and a deadline each', async () => {
    const fleet = new Fleet({ cleanup: { disposeTimeoutMs: 1_000 } });
    const manager = await fleet.connect('ada');
    const order: unknown[] = [];
    manager.onDispose((reason) => order.push(['first', reason]));
    manager.onDispose(() => {
      order.push('throws');
      throw new Error('planned');
    });
    manager.onDispose(() => {
      order.push('hangs');
      return new Promise(() => undefined);
    });
    const takeBack = manager.onDispose(() => order.push('never'));
    takeBack();
    const closed = manager.close(4001, 'bye');
    await fleet.clock.advance(2_000);
    await closed;
    expect(order).toEqual([
      'hangs',
      'throws',
      ['first', { code: 4001, reason: 'bye', initiator: 'server' }],
    ]);
    expect(manager.getStats().errorCount).toBe(2);
    expect(fleet.clock.pendingTimers).toBe(0);
  });

  it('reports the initiator of the end: client, network, server, cleanup, shutdown', async () => {
    const fleet = new Fleet();
    const seen: string[] = [];
    const managers = await fleet.connectMany('ada', 5);
    managers.forEach((manager) => manager.onDispose(({ initiator }) => seen.push(initiator)));
    fleet.socketOf(managers[0]!).leave(1000);
    fleet.socketOf(managers[1]!).leave(1006);
    await managers[2]!.close();
    await fleet.factory.cleanupManager(managers[3]!.context.connectionId);
    await fleet.factory.shutdown();
    expect(seen).toEqual(['client', 'network', 'server', 'cleanup', 'shutdown']);
  });

  it('keeps critical messages in order until they can be sent', async () => {
    const fleet = new Fleet();
    const socket = new FakeSocket();
    const manager = await fleet.factory.createManager(fleet.context('ada'));
    expect(manager.emitCritical('one', 1)).toBe('queued');
    expect(manager.emitCritical('two', 2)).toBe('queued');
    expect(manager.recoveryQueueSize).toBe(2);
    manager.attach(socket);
    manager.markReady();
    await fleet.clock.advance(5_000);
    expect(socket.sent.map((frame) => (JSON.parse(frame) as { event: string }).event)).toEqual([
      'one',
      'two',
    ]);
    expect(manager.recoveryQueueSize).toBe(0);
    socket.bufferedAmount = 2_000_000;
    expect(manager.emitCritical('three', 3)).toBe('queued');
    await manager.close();
    expect(fleet.clock.pendingTimers).toBe(0);
  });

  it('closes a reader that is too slow with 4441', async () => {
    const fleet = new Fleet();
    const manager = await fleet.connect('ada');
    const socket = fleet.socketOf(manager);
    socket.bufferedAmount = fleet.options.outbound.maxBufferedBytes;
    expect(manager.send('x', 1)).toEqual({ dropped: 'slow-consumer' });
    expect(socket.closedWith?.code).toBe(4441);
  });
});

describe('a context that the library has not created', () => {
  const real = new Fleet().context('ada');
  const fields = Object.assign({}, real, { userId: 'ada', threadId: 't1', connectionId: 'conn_x' });
  const Context = UserExecutionContext as unknown as new (...given: unknown[]) => object;
  const another = new (class {
    static {
      Object.defineProperty(this, 'name', { value: 'UserExecutionContext' });
    }
    readonly userId = 'ada';
  })();

  it.each<[string, unknown]>([
    ['a look-alike', fields],
    ['an empty object', {}],
    ['null', null],
    ['undefined', undefined],
    ['a text', 'ada'],
    ['a spread', Object.assign({}, real)],
    ['a structured clone', structuredClone(real)],
    ['a JSON round trip', JSON.parse(JSON.stringify(real))],
    ['an object that inherits from one', Object.create(real)],
    ['a proxy of one', new Proxy(real, {})],
    [
      'an object with its prototype',
      Object.assign(Object.create(UserExecutionContext.prototype), fields),
    ],
  ])('is refused: %s', async (_name, context) => {
    const fleet = new Fleet();
    const asked = fleet.factory.createManager(context as UserExecutionContext);
    await expect(asked).rejects.toMatchObject({
      code: 'INVALID_CONTEXT',
      message: expect.stringContaining('context must be made by UserExecutionContext'),
    });
    expect(fleet.factory.getStats().factoryMetrics.managersCreated).toBe(0);
  });

  it('is refused with a hint if another copy of the library has created it', async () => {
    const asked = new Fleet().factory.createManager(another as UserExecutionContext);
    await expect(asked).rejects.toThrow(/another copy.*npm ls nestjs-websocket-isolation/);
  });

  it('cannot be created by calling the constructor, or that of a subclass', () => {
    const Mine = class extends Context {};
    expect(() => new Context(fields)).toThrow(InvalidContextError);
    expect(() => new Context(fields, Symbol('makes contexts'))).toThrow(InvalidContextError);
    expect(() => new Mine(fields)).toThrow(InvalidContextError);
    expect(() => new (real.constructor as typeof Context)(fields)).toThrow(InvalidContextError);
  });

  it('is not accepted in a connection request either', () => {
    const request = { url: '/', headers: {}, socket: {} } as IncomingMessage;
    expect(() => ConnectionRequest.from(fields as never, request, '/', [])).toThrow(
      InvalidContextError,
    );
    const forged = Object.assign(Object.create(ConnectionRequest.prototype) as object, {
      context: real,
    });
    expect([ConnectionRequest.isOne(forged), ConnectionRequest.isOne(null)]).toEqual([
      false,
      false,
    ]);
    expect(ConnectionRequest.isOne(ConnectionRequest.from(real, request, '/', []))).toBe(true);
  });

  it('may be derived from a real context', async () => {
    const fleet = new Fleet();
    const context = fleet.context('ada');
    const manager = await fleet.factory.createManager(context.child('step').run());
    expect(manager.context.connectionId).toBe(context.connectionId);
  });
});

describe('the socket that is passed to the factory', () => {
  it('is refused with a list of its missing members', async () => {
    const fleet = new Fleet();
    const asked = fleet.factory.createManager(fleet.context('ada'), { socket: {} as never });
    await expect(asked).rejects.toThrow(
      'this one has no send(), close(), terminate(), ping(), on(), off(), readyState',
    );
    expect(fleet.live('ada')).toBe(0);
  });
});
