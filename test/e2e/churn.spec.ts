import { connect } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Injectable, Scope } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  LeakDetector,
  UserExecutionContext,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { ManagerRegistry } from '../../src/manager/manager-registry.js';
import { activeTimers, LiveCount } from '../support/live-count.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** The number of connections. `CHURN=1000000` for a long run. */
const CONNECTIONS = Number(process.env['CHURN'] ?? 10_000);
const AT_ONCE = 50;

let made = 0;
let disposed = 0;
let disposedTwice = 0;
let hooks = 0;
const kept: unknown[] = [];
const live = new LiveCount();

@Injectable({ scope: Scope.REQUEST })
class Resource {
  #isDisposed = false;
  constructor() {
    live.watch(this);
    made += 1;
  }
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isDisposed) disposedTwice += 1;
    this.#isDisposed = true;
    disposed += 1;
    await Promise.resolve();
  }
}

@IsolatedGateway({ path: '/churn' })
class ChurnGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
    readonly resource: Resource,
  ) {
    live.watch(this);
  }

  handleConnection(): void {
    this.manager.onDispose(() => {
      hooks += 1;
    });
    if (this.context.userId.startsWith('throwing')) throw new Error('planned');
  }

  @SubscribeMessage('leave')
  leave(): void {
    void this.manager.close(4001, 'as you wish');
  }

  @SubscribeMessage('keep')
  keep(): unknown {
    kept.push(this.manager);
    return { event: 'kept' };
  }
}

let testApp: TestApp;

const ways: Record<string, (index: number) => Promise<void>> = {
  'client close': async (index) => {
    const client = await TestClient.open(testApp.url(`/churn?user=close-${index}`));
    await client.close();
  },
  terminate: async (index) => {
    const client = await TestClient.open(testApp.url(`/churn?user=cut-${index}`));
    client.terminate();
  },
  'server close': async (index) => {
    const client = await TestClient.open(testApp.url(`/churn?user=leave-${index}`));
    client.send('leave');
    expect(await client.closed()).toBe(4001);
  },
  refused: async () => {
    await expect(TestClient.open(testApp.url('/churn'))).rejects.toMatchObject({ status: 401 });
  },
  'aborted during the handshake': async (index) => {
    await abortedUpgrade(testApp.port, `/churn?user=slow-${index}`);
  },
  'throwing connect hook': async (index) => {
    const client = await TestClient.open(testApp.url(`/churn?user=throwing-${index}`));
    expect(await client.closed()).toBe(1011);
  },
};

beforeAll(async () => {
  testApp = await startApp({
    providers: [ChurnGateway, Resource],
    options: {
      authenticator: async (request: { url?: string | undefined }) => {
        const userId = new URL(request.url ?? '/', 'http://x').searchParams.get('user');
        // The client disconnects before this resolves.
        if (userId?.startsWith('slow')) await new Promise((resolve) => setTimeout(resolve, 20));
        return userId ? { userId } : null;
      },
    },
  });
  // Every manager is added to the registry, even one that never gets a socket.
  const registry = testApp.app.get(ManagerRegistry, { strict: false });
  const add = registry.add.bind(registry);
  registry.add = (manager) => {
    live.watch(manager);
    live.watch(manager.context);
    add(manager);
  };
});
afterAll(() => testApp.close());

describe(`after ${CONNECTIONS} connections opened and closed in every way`, () => {
  it('nothing is left', async () => {
    const detector = testApp.app.get(LeakDetector);
    const timers = activeTimers();
    const names = Object.keys(ways);
    for (let start = 0; start < CONNECTIONS; start += AT_ONCE) {
      await Promise.all(
        Array.from({ length: AT_ONCE }, (_, offset) => {
          const index = start + offset;
          return ways[names[index % names.length]!]!(index);
        }),
      );
    }
    await eventually(() => expect(detector.getReport().ledger.active).toBe(0));
    const { ledger, suspects } = detector.getReport();
    expect(ledger.created).toBe(ledger.disposed);
    expect(suspects).toEqual([]);
    expect({ disposed, disposedTwice }).toEqual({ disposed: made, disposedTwice: 0 });
    // In four of the six ways the connect hook runs.
    expect(hooks).toBeGreaterThanOrEqual(Math.floor(CONNECTIONS / 6) * 4);
    expect(testApp.app.get(WebSocketManagerFactory).getStats()).toMatchObject({
      factoryMetrics: { managersActive: 0, usersWithActiveManagers: 0 },
      userDistribution: {},
    });
    await eventually(() => expect(activeTimers()).toBeLessThanOrEqual(timers + 1));
    // For each accepted connection: manager, context, gateway and resource.
    expect(live.watched).toBeGreaterThanOrEqual(Math.floor(CONNECTIONS / 6) * 4 * 4);
    await eventually(async () => expect(await live.alive()).toBe(0));
  });

  it('and a leak would have been detected', async () => {
    const client = await TestClient.open(testApp.url('/churn?user=leaky'));
    await client.ask('keep');
    await client.close();
    const detector = testApp.app.get(LeakDetector);
    await eventually(() => expect(detector.getReport().ledger.active).toBe(0));
    // The manager and its context are kept.
    expect(await live.alive()).toBe(2);
    await eventually(() => {
      globalThis.gc!();
      expect(detector.getReport().suspects).toMatchObject([
        { cause: 'reachable', isolationKey: expect.stringMatching(/^leaky:thread_/) },
      ]);
    });
    kept.length = 0;
    await eventually(async () => {
      expect(await live.alive()).toBe(0);
      expect(detector.getReport().suspects).toEqual([]);
    });
  });
});

function abortedUpgrade(port: number, path: string): Promise<void> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.write(
        `GET ${path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
          'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n',
        () => setImmediate(() => socket.destroy()),
      );
    });
    socket.on('close', () => resolve());
    socket.on('error', () => undefined);
  });
}
