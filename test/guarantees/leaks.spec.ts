import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { EventEmitter, once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { eventually } from 'nestjs-websocket-isolation/testing';

import type { WebSocketManager } from '../../src/manager/web-socket-manager.js';
import type { WebSocketIsolationOptions } from '../../src/config/isolation.options.js';
import { Fleet } from '../support/fleet.js';

let fleet: Fleet;
let reported: unknown[];
// Managers that a careless app keeps.
let kept: unknown[];
const onSuspected = (event: unknown): void => void reported.push(event);

function watch(options: WebSocketIsolationOptions = {}): Fleet {
  fleet = new Fleet(options);
  fleet.leaks.onApplicationBootstrap();
  return fleet;
}

beforeEach(() => {
  reported = [];
  kept = [];
  subscribe('websocket-isolation:leak-suspected', onSuspected);
});
afterEach(() => {
  unsubscribe('websocket-isolation:leak-suspected', onSuspected);
  fleet.leaks.onApplicationShutdown();
});

/** Collects garbage, and waits, because finalization callbacks run later. */
async function collect(): Promise<void> {
  for (let round = 0; round < 4; round += 1) {
    globalThis.gc!();
    await sleep(5);
  }
}

/** Connects and closes `count` managers. With `keepLast` it keeps a reference to the last one. */
async function churn(count: number, { keepLast = false } = {}): Promise<void> {
  for (let index = 0; index < count; index += 1) {
    const manager: WebSocketManager = await fleet.connect('ada');
    await manager.close();
    fleet.sockets.clear();
    if (keepLast && index === count - 1) kept.push(manager);
  }
}

describe('the leak detector', () => {
  it('suspects no manager after a clean run', async () => {
    watch();
    await churn(300);
    await collect();
    expect(fleet.leaks.getReport()).toEqual({
      ledger: { created: 300, active: 0, disposed: 300 },
      suspects: [],
    });
    expect(reported).toEqual([]);
  });

  it('suspects no manager because of collections that ran before its disposal, or in the same job', async () => {
    watch();
    for (let round = 0; round < 5; round += 1) {
      globalThis.gc!();
      globalThis.gc!();
      await churn(20);
      globalThis.gc!();
      globalThis.gc!();
      await sleep(5);
    }
    await collect();
    expect(reported).toEqual([]);
    expect(fleet.leaks.getReport().suspects).toEqual([]);
  });

  it('finds a kept manager among many, reports it once, and clears it when it is released', async () => {
    watch();
    await churn(50, { keepLast: true });
    await fleet.clock.advance(3_000);
    const { context } = kept[0] as WebSocketManager;
    const { connectionId, threadId, isolationKey } = context;
    await eventually(async () => {
      await collect();
      expect(fleet.leaks.getReport().suspects).toEqual([
        { cause: 'reachable', connectionId, threadId, isolationKey, ageMs: 3_000 },
      ]);
    });
    await collect();
    expect(reported).toEqual([
      {
        subject: { userId: 'ada', threadId, connectionId, isolationKey },
        cause: 'reachable',
        ageMs: expect.any(Number),
      },
    ]);
    kept = [];
    await eventually(async () => {
      await collect();
      expect(fleet.leaks.getReport().suspects).toEqual([]);
    });
  });

  it('names the creation site, if enabled', async () => {
    watch({ leaks: { captureCreationSite: true } });
    await churn(1, { keepLast: true });
    await eventually(async () => {
      await collect();
      expect(fleet.leaks.getReport().suspects).toMatchObject([
        { creationSite: expect.stringContaining('fleet.ts') },
      ]);
    });
  });

  it('finds a closed manager that was not disposed of in time, until it is disposed of', async () => {
    watch();
    const gate = new EventEmitter();
    const overdue = (): unknown[] =>
      fleet.leaks.getReport().suspects.filter(({ cause }) => cause === 'overdue');
    const manager = await fleet.connect('ada');
    manager.onDispose(() => once(gate, 'open'));
    manager.onDispose(() => new Promise(() => undefined));
    void manager.close();
    const { closeTimeoutMs, disposeTimeoutMs } = fleet.options.cleanup;
    await fleet.clock.advance(closeTimeoutMs + disposeTimeoutMs - 1);
    expect(overdue()).toEqual([]);
    await fleet.clock.advance(2);
    const { isolationKey, threadId } = manager.context;
    expect(overdue()).toMatchObject([
      { cause: 'overdue', isolationKey, threadId, ageMs: closeTimeoutMs + disposeTimeoutMs + 1 },
    ]);
    gate.emit('open');
    await fleet.clock.settle();
    expect(overdue()).toEqual([]);
  });

  it('finds questions and messages that are kept for a connection that is disposed of', async () => {
    watch();
    const manager = await fleet.connect('ada');
    const { asks, latest } = fleet.factory.bookkeeping;
    const asked = manager.ask('sure?').catch(() => 'rejected');
    const busy = Object.assign(fleet.socketOf(manager), { bufferedAmount: 100_000 });
    expect(manager.send('price', 1, { policy: 'latest' })).toBe('queued');
    expect(fleet.factory.getStats().currentState).toMatchObject({ openAsks: 1, latestWaiting: 1 });
    expect([asks.asked, latest.size, fleet.leaks.getReport().suspects]).toEqual([1, 1, []]);
    busy.leave();
    expect(await asked).toBe('rejected');
    await fleet.clock.settle();
    expect([asks.asked, latest.size, fleet.leaks.getReport().suspects]).toEqual([0, 0, []]);

    // As a fault of the library would leave it.
    latest.keep(manager, 'price', '{}');
    const { connectionId } = manager.context;
    expect(fleet.leaks.getReport().suspects).toMatchObject([
      { cause: 'kept', label: 'latest messages', connectionId },
    ]);
    latest.close(manager);
    expect(fleet.leaks.getReport().suspects).toEqual([]);
  });

  it('watches a bounded number of managers, including the latest ones', async () => {
    watch();
    await churn(2_000, { keepLast: false });
    await churn(16, { keepLast: true });
    await eventually(async () => {
      await collect();
      expect(fleet.leaks.getReport().suspects.length).toBe(1);
    });
  });
});
