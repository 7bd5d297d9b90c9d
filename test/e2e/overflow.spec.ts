import { afterEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  LeakDetector,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient, UpgradeRefused } from 'nestjs-websocket-isolation/testing';

import { ManagerRegistry } from '../../src/manager/manager-registry.js';
import { startApp, type TestApp } from '../support/test-app.js';

const LIMIT = 5;

@IsolatedGateway({ path: '/desk' })
class DeskGateway {
  #work: Disposable | undefined;

  constructor(private readonly manager: WebSocketManager) {}

  @SubscribeMessage('work')
  work() {
    this.#work = this.manager.pin('work');
    return { event: 'working' };
  }

  @SubscribeMessage('rest')
  rest() {
    this.#work?.[Symbol.dispose]();
    return { event: 'resting' };
  }
}

let testApp: TestApp;
afterEach(() => testApp.close());

const start = async (overflow: 'reject' | 'evict-idle'): Promise<void> => {
  testApp = await startApp({
    providers: [DeskGateway],
    options: {
      limits: { maxManagersPerUser: LIMIT, overflow },
      cleanup: { emergencyIntervalMs: 50 },
    },
  });
};
const factory = (): WebSocketManagerFactory => testApp.app.get(WebSocketManagerFactory);
const open = (): Promise<TestClient> => TestClient.open(testApp.url('/desk?user=ada'));

describe('with evict-idle', () => {
  it('a new connection replaces the least recently active one, and never a pinned one', async () => {
    await start('evict-idle');
    const [worker, quiet, ...rest] = await Promise.all(Array.from({ length: LIMIT }, open));
    await worker!.ask('work');
    for (const client of rest) await client.ask('rest');
    const newcomer = await open();
    expect(await quiet!.closed()).toBe(4409);
    expect([worker!, newcomer, ...rest].map(({ closeCode }) => closeCode)).toEqual(
      Array.from({ length: LIMIT }, () => undefined),
    );
    expect(factory().managersOf('ada').length).toBe(LIMIT);
  });

  it('a crowd of new connections never exceeds the limit, and fills it', async () => {
    await start('evict-idle');
    const registry = testApp.app.get(ManagerRegistry, { strict: false });
    const add = registry.add.bind(registry);
    let peak = 0;
    registry.add = (manager) => {
      add(manager);
      peak = Math.max(peak, registry.slotsOf('ada')!.held);
    };
    const outcomes = await Promise.allSettled(Array.from({ length: 60 }, open));
    const statuses = outcomes.flatMap((outcome) =>
      outcome.status === 'rejected' ? [(outcome.reason as UpgradeRefused).status] : [],
    );
    expect(statuses).toEqual(statuses.map(() => 429));
    const clients = outcomes.flatMap((outcome) =>
      outcome.status === 'fulfilled' ? [outcome.value] : [],
    );
    await eventually(() => {
      expect(clients.filter(({ closeCode }) => closeCode === undefined).length).toBe(LIMIT);
    });
    const replaced = clients.filter(({ closeCode }) => closeCode !== undefined);
    expect(replaced.every(({ closeCode }) => closeCode === 4409)).toBe(true);
    expect(peak).toBe(LIMIT);
    for (const client of clients) client.terminate();
    await eventually(() => expect(registry.size).toBe(0));
    expect(testApp.app.get(LeakDetector).getReport().suspects).toEqual([]);
  });
});

describe('a limit lowered at run time', () => {
  it('closes idle connections above it at once, and pinned ones when they are unpinned', async () => {
    await start('reject');
    const clients = await Promise.all(Array.from({ length: LIMIT }, open));
    for (const client of clients.slice(0, 3)) await client.ask('work');
    factory().setLimits({ maxManagersPerUser: 2 });
    const resting = clients.slice(3);
    expect(await Promise.all(resting.map((client) => client.closed()))).toEqual([4409, 4409]);
    expect(factory().managersOf('ada').length).toBe(3);
    // The client gets the reply first, and then the close frame.
    expect(await clients[0]!.ask('rest')).toMatchObject({ event: 'resting' });
    expect(await clients[0]!.closed()).toBe(4409);
    for (const client of clients.slice(1, 3)) await client.ask('rest');
    expect(factory().managersOf('ada').length).toBe(2);
  });
});
