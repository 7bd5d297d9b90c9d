import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';

import type { CleanupReport } from '../../src/journal/isolation-events.js';
import { ManagerLimitError } from '../../src/manager/manager.errors.js';
import type { WebSocketManager } from '../../src/manager/web-socket-manager.js';
import { FakeSocket, Fleet } from '../support/fleet.js';

const MINUTE = 60_000;
const STALE = 10 * MINUTE + 1;

let removals: [cause: string, code: number][];
let reports: CleanupReport[];
const onRemoved = (event: unknown): void => {
  const { cause, code } = event as { cause: string; code: number };
  removals.push([cause, code]);
};
const onFinished = (event: unknown): void => void reports.push(event as CleanupReport);

beforeEach(() => {
  removals = [];
  reports = [];
  subscribe('websocket-isolation:manager-removed', onRemoved);
  subscribe('websocket-isolation:cleanup-finished', onFinished);
});
afterEach(() => {
  unsubscribe('websocket-isolation:manager-removed', onRemoved);
  unsubscribe('websocket-isolation:cleanup-finished', onFinished);
});

const causes = (): string[] => removals.map(([cause]) => cause);

describe('an arrival from 12 of 20', () => {
  it('first removes the stale: 12 with six stale become exactly 7', async () => {
    const fleet = new Fleet();
    const old = await fleet.connectMany('ada', 6);
    await fleet.clock.advance(STALE);
    await fleet.connectMany('ada', 6);
    expect(fleet.live('ada')).toBe(12);
    const arrival = await fleet.connect('ada');
    expect(fleet.live('ada')).toBe(7);
    expect(arrival.isActive).toBe(true);
    expect(removals).toEqual(Array.from({ length: 6 }, () => ['stale', 4440]));
    for (const manager of old) expect(fleet.socketOf(manager).closedWith?.code).toBe(4440);
  });

  it('removes nothing below 12, and nothing that is not stale', async () => {
    const fleet = new Fleet();
    await fleet.connectMany('ada', 11);
    await fleet.clock.advance(STALE);
    await fleet.connect('ada');
    expect(fleet.live('ada')).toBe(12);
    const fresh = new Fleet();
    await fresh.connectMany('bob', 20);
    expect(fresh.live('bob')).toBe(20);
    expect(removals).toEqual([]);
  });

  it('counts traffic in both directions as activity, but not pongs or statistics', async () => {
    const fleet = new Fleet();
    const [hears, speaks, pongs, watched] = await fleet.connectMany('ada', 12);
    await fleet.clock.advance(STALE - 1000);
    hears!.send('news');
    fleet.socketOf(speaks!).say();
    fleet.socketOf(pongs!).emit('pong');
    watched!.getStats();
    fleet.factory.getStats();
    await fleet.clock.advance(2000);
    await fleet.connect('ada');
    expect([hears, speaks, pongs, watched].map((manager) => manager!.isActive)).toEqual([
      true,
      true,
      false,
      false,
    ]);
  });

  it('does not remove pinned connections or those of other users', async () => {
    const fleet = new Fleet();
    const [pinned, ...rest] = await fleet.connectMany('ada', 12);
    const other = await fleet.connect('bob');
    const pin = pinned!.pin('report');
    await fleet.clock.advance(STALE);
    await fleet.connect('ada');
    expect(pinned!.isActive).toBe(true);
    expect(other.isActive).toBe(true);
    expect(rest.some(({ isActive }) => isActive)).toBe(false);
    pin[Symbol.dispose]();
  });
});

describe('the arrival beyond the limit', () => {
  it('is refused at once when all connections are alive and active, and none is removed', async () => {
    const fleet = new Fleet();
    await fleet.connectMany('ada', 20);
    const refused = fleet.connect('ada');
    await expect(refused).rejects.toBeInstanceOf(ManagerLimitError);
    await expect(refused).rejects.toMatchObject({
      code: 'MANAGER_LIMIT',
      userId: 'ada',
      limit: 20,
      message: expect.stringContaining('maximum number of WebSocket managers (20)'),
    });
    expect(fleet.live('ada')).toBe(20);
    expect(removals).toEqual([]);
    expect(fleet.clock.pendingTimers).toBe(0);
    expect(fleet.factory.getStats().factoryMetrics.resourceLimitHits).toBe(1);
    expect((await fleet.connect('bob')).isActive).toBe(true);
  });

  it('replaces a zombie, and live connections stay open', async () => {
    const fleet = new Fleet();
    const alive = await fleet.connectMany('ada', 15);
    const zombies = await fleet.connectMany('ada', 5, { isSilent: true });
    await fleet.clock.advance(5_000);
    const startedAt = fleet.clock.now();
    const arrival = fleet.connect('ada');
    await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs + 1_000);
    expect((await arrival).isActive).toBe(true);
    expect((await arrival).createdAt - startedAt).toBeLessThanOrEqual(
      fleet.options.cleanup.probeTimeoutMs + 1_000,
    );
    expect(alive.every(({ isActive }) => isActive)).toBe(true);
    expect(zombies.some(({ isActive }) => isActive)).toBe(false);
    expect(removals).toEqual(Array.from({ length: 5 }, () => ['zombie', 4443]));
    expect(fleet.live('ada')).toBe(16);
  });

  it('finds zombies even among new connections', async () => {
    const fleet = new Fleet();
    const alive = await fleet.connectMany('ada', 15);
    await fleet.connectMany('ada', 5, { isSilent: true });
    const arrival = fleet.connect('ada');
    await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs);
    expect((await arrival).isActive).toBe(true);
    expect(alive.every(({ isActive }) => isActive)).toBe(true);
  });

  it('does not wait for a peer from which reading is paused', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 1 } });
    const paused = await fleet.connect('ada', { isSilent: true });
    paused.isReadingPaused = true;
    await fleet.clock.advance(5_000);
    await expect(fleet.connect('ada')).rejects.toThrow(ManagerLimitError);
    expect(fleet.clock.pendingTimers).toBe(0);
  });

  it('does not treat a slow reader as a zombie: the ping is queued behind unread data', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 2 } });
    const [slow, stuck] = await fleet.connectMany('ada', 2, { isSilent: true });
    for (const manager of [slow!, stuck!]) fleet.socketOf(manager).bufferedAmount = 1_000;
    const arrival = fleet.connect('ada');
    await fleet.clock.settle();
    fleet.socketOf(slow!).bufferedAmount = 400;
    await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs);
    expect((await arrival).isActive).toBe(true);
    expect([slow!.isActive, stuck!.isActive]).toEqual([true, false]);
  });

  it('is accepted if the limit is raised while it waits', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 2 } });
    const [zombie, pinned] = await fleet.connectMany('ada', 2, { isSilent: true });
    const arrival = fleet.connect('ada');
    await fleet.clock.settle();
    zombie!.pin('work');
    pinned!.pin('work');
    fleet.factory.setLimits({ maxManagersPerUser: 3 });
    await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs);
    expect((await arrival).isActive).toBe(true);
    expect(removals).toEqual([]);
  });

  it('is refused when the process shuts down while it waits', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 1 } });
    await fleet.connect('ada', { isSilent: true });
    const arrivals = Promise.allSettled([fleet.connect('ada'), fleet.connect('ada')]);
    await fleet.clock.settle();
    const ended = fleet.factory.shutdown();
    await fleet.clock.advance(10_000);
    await ended;
    for (const arrival of await arrivals) {
      expect(arrival).toMatchObject({ status: 'rejected', reason: { code: 'MANAGER_CLOSED' } });
    }
    expect(fleet.registry.size).toBe(0);
    expect(fleet.registry.userCount).toBe(0);
    expect(fleet.clock.pendingTimers).toBe(0);
  });

  it('leaves nothing behind if its socket closes while it waits', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 1 } });
    await fleet.connect('ada', { isSilent: true });
    const socket = new FakeSocket();
    const arrival = fleet.factory.createManager(fleet.context('ada'), { socket });
    await fleet.clock.settle();
    socket.leave();
    await fleet.clock.advance(5_000);
    expect((await arrival).state).toBe('closed');
    expect(fleet.registry.size).toBe(0);
    expect(socket.listenerCount('close')).toBe(0);
  });

  it('is accepted as soon as a slot is free', async () => {
    const fleet = new Fleet();
    const [first] = await fleet.connectMany('ada', 20);
    await expect(fleet.connect('ada')).rejects.toThrow(ManagerLimitError);
    await first!.close();
    await expect(fleet.connect('ada')).resolves.toBeDefined();
    await expect(fleet.connect('ada')).rejects.toThrow(ManagerLimitError);
  });

  it('replaces the least recently active connection with evict-idle, and never a pinned one', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 3, overflow: 'evict-idle' } });
    const [first, second, third] = await fleet.connectMany('ada', 3);
    const pin = first!.pin('work');
    await fleet.clock.advance(1000);
    third!.send('x');
    second!.send('x');
    await fleet.connect('ada');
    expect([first, second, third].map((manager) => manager!.isActive)).toEqual([true, true, false]);
    expect(removals).toEqual([['evicted', 4409]]);
    pin[Symbol.dispose]();
  });

  it('also replaces one if it arrives while another is being replaced', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 4, overflow: 'evict-idle' } });
    const old = await fleet.connectMany('ada', 4, { isSilent: true });
    await fleet.clock.advance(1);
    // The clients have just sent messages, so no ping is needed.
    for (const manager of old) fleet.socketOf(manager).say();
    const first = fleet.connect('ada');
    await fleet.clock.settle();
    expect(causes()).toEqual(['evicted']);
    const second = fleet.connect('ada');
    await fleet.clock.advance(2 * fleet.options.cleanup.closeTimeoutMs);
    expect((await first).isActive && (await second).isActive).toBe(true);
    expect(causes()).toEqual(['evicted', 'evicted']);
    expect(fleet.live('ada')).toBe(4);
  });

  it('is refused when all connections are pinned, with any policy', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 2, overflow: 'evict-idle' } });
    const managers = await fleet.connectMany('ada', 2);
    managers.forEach((manager) => manager.pin('work'));
    await expect(fleet.connect('ada')).rejects.toThrow(ManagerLimitError);
  });

  it('is not blocked by hanging disposers', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 2 } });
    const managers = await fleet.connectMany('ada', 2);
    for (const manager of managers) {
      manager.onDispose(() => new Promise(() => undefined));
      fleet.socketOf(manager).leave();
    }
    await fleet.clock.settle();
    expect(fleet.live('ada')).toBe(0);
    expect((await fleet.connect('ada')).isActive).toBe(true);
    expect((await fleet.connect('ada')).isActive).toBe(true);
    await expect(fleet.connect('ada')).rejects.toThrow(ManagerLimitError);
  });
});

describe('the emergency', () => {
  it('ends within its deadline when disposers hang, throw or reject, and reports the abandoned ones', async () => {
    const fleet = new Fleet({ cleanup: { emergencyTimeoutMs: 3_000, disposeTimeoutMs: 60_000 } });
    const managers = await fleet.connectMany('ada', 20);
    managers.forEach((manager, index) => {
      if (index % 3 === 0) manager.onDispose(() => new Promise(() => undefined));
      if (index % 3 === 1) manager.onDispose(() => Promise.reject(new Error('planned')));
      if (index % 3 === 2) {
        manager.onDispose(() => {
          throw new Error('planned');
        });
      }
    });
    await fleet.clock.advance(STALE);
    const arrival = fleet.connect('ada');
    const startedAt = fleet.clock.now();
    await fleet.clock.advance(3_000);
    expect((await arrival).isActive).toBe(true);
    const hanging = managers.filter((_, index) => index % 3 === 0);
    const report = reports.find(({ timedOut }) => timedOut);
    expect(report).toMatchObject({ removed: 20 });
    expect(report!.durationMs).toBeLessThanOrEqual(fleet.clock.now() - startedAt);
    expect(report!.abandoned.toSorted()).toEqual(
      hanging.map(({ context }) => context.connectionId).toSorted(),
    );
  });

  it('as a job removes zombies of crowded users only', async () => {
    const fleet = new Fleet();
    const crowd = await fleet.connectMany('ada', 15);
    const zombies = await fleet.connectMany('ada', 2, { isSilent: true });
    const lonely = await fleet.connect('bob', { isSilent: true });
    for (const manager of [...crowd, ...zombies, lonely]) manager.ping();
    await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs + 1);
    const report = await fleet.cleanup.runEmergency();
    expect(report.removed).toBe(2);
    expect(zombies.some(({ isActive }) => isActive)).toBe(false);
    expect(lonely.isActive).toBe(true);
    expect(crowd.every(({ isActive }) => isActive)).toBe(true);
  });

  it('counts a user as crowded from 80 %: not 15 of 20, but 16 of 20', async () => {
    for (const [count, removed] of [
      [15, 0],
      [16, 1],
    ] as const) {
      const fleet = new Fleet();
      await fleet.connectMany('ada', count - 1);
      (await fleet.connect('ada', { isSilent: true })).ping();
      await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs + 1);
      expect((await fleet.cleanup.runEmergency()).removed).toBe(removed);
    }
  });
});

describe('the emergency job of a process from 90 % on', () => {
  it('removes stale connections and zombies of all users, and below 90 % of none', async () => {
    for (const [crowd, removed] of [
      [6, 0],
      [7, 2],
    ] as const) {
      const fleet = new Fleet({ limits: { maxManagers: 10 } });
      const stale = await fleet.connect('stale');
      const pinned = await fleet.connect('pinned');
      pinned.pin('work');
      await fleet.clock.advance(STALE);
      await Promise.all(
        Array.from({ length: crowd - 1 }, (_, index) => fleet.connect(`user-${index}`)),
      );
      const zombie = await fleet.connect('zombie', { isSilent: true });
      zombie.ping();
      await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs + 1);
      expect(fleet.registry.size).toBe(crowd + 2);
      expect((await fleet.cleanup.runEmergency()).removed).toBe(removed);
      expect([stale, zombie].map(({ isActive }) => isActive)).toEqual(
        removed === 0 ? [true, true] : [false, false],
      );
      expect(pinned.isActive).toBe(true);
    }
  });
});

describe('the order of victims', () => {
  it('is closed, never attached, zombie, stale, least recently active', async () => {
    const fleet = new Fleet({
      limits: { maxManagersPerUser: 6, overflow: 'evict-idle', proactiveThreshold: 1 },
      cleanup: { staleAfterMs: 15_000 },
    });
    await fleet.factory.createManager(fleet.context('ada'));
    await fleet.connect('ada');
    await fleet.clock.advance(13_500);
    const [closed, fresh] = await fleet.connectMany('ada', 2);
    await fleet.connect('ada', { isSilent: true });
    const pinned = await fleet.connect('ada');
    const pin = pinned.pin('work');
    // The socket is closed, but its close event was lost.
    fleet.socketOf(closed!).readyState = 3;
    const arrivals = Promise.all(Array.from({ length: 5 }, () => fleet.connect('ada')));
    await fleet.clock.advance(5_000);
    expect((await arrivals).every(({ isActive }) => isActive)).toBe(true);
    expect(removals).toEqual([
      ['closed', 1000],
      ['unattached', 1000],
      ['zombie', 4443],
      ['stale', 4440],
      ['evicted', 4409],
    ]);
    expect(fresh!.isActive).toBe(false);
    expect(pinned.isActive).toBe(true);
    pin[Symbol.dispose]();
  });
});

describe('the proactive job', () => {
  it('removes stale connections of crowded users, idle ones of all users, and managers without a socket', async () => {
    const fleet = new Fleet();
    const crowd = await fleet.connectMany('ada', 12);
    const few = await fleet.connectMany('bob', 2);
    await fleet.factory.createManager(fleet.context('carol'));
    await fleet.clock.advance(9_999);
    expect((await fleet.cleanup.runProactive()).removed).toBe(0);
    await fleet.clock.advance(2);
    expect((await fleet.cleanup.runProactive()).removed).toBe(1);
    expect(removals).toEqual([['unattached', 1000]]);

    await fleet.clock.advance(10 * MINUTE + 10_000);
    expect((await fleet.cleanup.runProactive()).removed).toBe(12);
    expect(crowd.some(({ isActive }) => isActive)).toBe(false);
    expect(few.every(({ isActive }) => isActive)).toBe(true);

    await fleet.clock.advance(20 * MINUTE);
    expect((await fleet.cleanup.runProactive()).removed).toBe(2);
    expect(causes().slice(-2)).toEqual(['idle', 'idle']);
    expect(fleet.factory.getStats().factoryMetrics).toMatchObject({
      managersActive: 0,
      managersCreated: 15,
      managersCleanedUp: 15,
    });
  });

  it('is not started twice while it runs', async () => {
    const fleet = new Fleet();
    const [manager] = await fleet.connectMany('ada', 12);
    manager!.onDispose(() => new Promise(() => undefined));
    await fleet.clock.advance(STALE + 10_000);
    const [first, second] = [fleet.cleanup.runProactive(), fleet.cleanup.runProactive()];
    await fleet.clock.advance(20_000);
    expect(await first).toBe(await second);
    expect((await fleet.cleanup.runProactive()).removed).toBe(0);
  });

  it('with idleTimeoutMs 0 never removes idle connections', async () => {
    const fleet = new Fleet({ cleanup: { idleTimeoutMs: 0 } });
    const manager = await fleet.connect('ada');
    await fleet.clock.advance(1000 * MINUTE);
    expect((await fleet.cleanup.runProactive()).removed).toBe(0);
    expect(manager.isActive).toBe(true);
  });
});

describe('cleanupExpired', () => {
  it('removes the stale connections of all users, crowded or not', async () => {
    const fleet = new Fleet();
    await fleet.connectMany('ada', 3);
    await fleet.clock.advance(STALE);
    await fleet.connect('ada');
    expect(await fleet.factory.cleanupExpired()).toBe(3);
    expect(fleet.live('ada')).toBe(1);
    expect(await fleet.factory.cleanupExpired()).toBe(0);
  });
});

describe('limits lowered at run time', () => {
  it('remove connections in the order of the cleanup, never a pinned one', async () => {
    const fleet = new Fleet();
    const managers = await fleet.connectMany('ada', 6);
    const pin = managers[0]!.pin('work');
    await fleet.clock.advance(1000);
    managers[1]!.send('x');
    fleet.factory.setLimits({ maxManagersPerUser: 2 });
    await fleet.clock.settle();
    expect(managers.filter(({ isActive }) => isActive)).toEqual([managers[0], managers[1]]);
    expect(causes()).toEqual(Array.from({ length: 4 }, () => 'limit-lowered'));
    await expect(fleet.connect('ada')).rejects.toThrow('(2)');
    fleet.factory.setLimits({ maxManagersPerUser: 3 });
    await expect(fleet.connect('ada')).resolves.toBeDefined();
    pin[Symbol.dispose]();
  });

  it('close no more than necessary when they are lowered again and again', async () => {
    const fleet = new Fleet();
    await fleet.connectMany('ada', 6);
    for (const limit of [4, 3, 3, 2]) fleet.factory.setLimits({ maxManagersPerUser: limit });
    expect(fleet.live('ada')).toBe(2);
    fleet.factory.setLimits({ maxManagers: 1 });
    fleet.factory.setLimits({ maxManagers: 1 });
    expect(fleet.live('ada')).toBe(1);
  });

  it('apply to pinned connections once they are unpinned', async () => {
    const fleet = new Fleet();
    const managers = await fleet.connectMany('ada', 4);
    const pins = managers.map((manager) => manager.pin('work'));
    fleet.factory.setLimits({ maxManagersPerUser: 2 });
    pins[0]![Symbol.dispose]();
    // The connection is not closed at once, because its work may be about to send a reply.
    expect(fleet.live('ada')).toBe(4);
    await fleet.cleanup.runEmergency();
    expect(managers.map(({ isActive }) => isActive)).toEqual([false, true, true, true]);
    for (const pin of pins) pin[Symbol.dispose]();
    await fleet.cleanup.runEmergency();
    expect(fleet.live('ada')).toBe(2);
    await fleet.cleanup.runEmergency();
    expect(fleet.live('ada')).toBe(2);
    expect(removals).toEqual([
      ['limit-lowered', 4409],
      ['limit-lowered', 4409],
    ]);
  });

  it('do not close pinned connections above the limit', async () => {
    const fleet = new Fleet();
    const managers = await fleet.connectMany('ada', 4);
    managers.forEach((manager) => manager.pin('work'));
    fleet.factory.setLimits({ maxManagersPerUser: 1 });
    await fleet.clock.settle();
    expect(fleet.live('ada')).toBe(4);
  });

  it('apply to the process too', async () => {
    const fleet = new Fleet();
    await Promise.all(['a1', 'b2', 'c3', 'd4'].map((user) => fleet.connect(user)));
    fleet.factory.setLimits({ maxManagers: 2 });
    await fleet.clock.settle();
    expect(fleet.registry.size).toBe(2);
    await expect(fleet.connect('e5')).rejects.toMatchObject({ scope: 'process', limit: 2 });
    expect(() => fleet.factory.setLimits({ maxManagers: 0 })).toThrow('whole number from 1 up');
  });
});

const silentFrom = async (fleet: Fleet, alive: number, silent = 2): Promise<WebSocketManager[]> => {
  await fleet.connectMany('ada', alive);
  return fleet.connectMany('ada', silent, { isSilent: true });
};

describe('the emergency job, without a heartbeat', () => {
  it('pings silent connections of a user from 80 % itself, and removes them after the timeout', async () => {
    const fleet = new Fleet();
    const silent = await silentFrom(fleet, 14);
    await fleet.clock.advance(5_000);
    const run = fleet.cleanup.runEmergency();
    await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs - 1);
    expect(fleet.live('ada')).toBe(16);
    await fleet.clock.advance(1);
    expect(silent.some(({ isActive }) => isActive)).toBe(false);
    expect(fleet.live('ada')).toBe(14);
    expect(removals).toEqual([
      ['zombie', 4443],
      ['zombie', 4443],
    ]);
    expect(await run).toMatchObject({ kind: 'emergency', removed: 2, timedOut: false });
    expect(fleet.clock.pendingTimers).toBe(0);
  });

  it('pings no connection below 80 %', async () => {
    const fleet = new Fleet();
    await silentFrom(fleet, 13);
    await fleet.clock.advance(5_000);
    expect((await fleet.cleanup.runEmergency()).removed).toBe(0);
    for (const socket of fleet.sockets.values()) expect(socket.pings).toBe(0);
  });

  it('keeps connections that reply, become pinned, or have reading paused', async () => {
    const fleet = new Fleet();
    const [late, busy, paused] = await silentFrom(fleet, 13, 3);
    await fleet.clock.advance(5_000);
    paused!.isReadingPaused = true;
    const run = fleet.cleanup.runEmergency();
    await fleet.clock.advance(1_000);
    fleet.socketOf(late!).emit('pong');
    busy!.pin('work');
    await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs);
    expect((await run).removed).toBe(0);
    expect(fleet.live('ada')).toBe(16);
  });

  it('pings a connection once if an arrival probes it at the same time', async () => {
    const fleet = new Fleet();
    const silent = await silentFrom(fleet, 18);
    await fleet.clock.advance(5_000);
    const run = fleet.cleanup.runEmergency();
    await fleet.clock.advance(500);
    const arrival = fleet.connect('ada');
    await fleet.clock.advance(500);
    fleet.socketOf(silent[0]!).emit('pong');
    await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs);
    expect((await arrival).isActive).toBe(true);
    await run;
    expect(silent.map(({ isActive }) => isActive)).toEqual([true, false]);
    expect(silent.map((manager) => fleet.socketOf(manager).pings)).toEqual([1, 1]);
    expect(causes()).toEqual(['zombie']);
  });

  it('in a process from 90 % pings connections that no heartbeat has pinged', async () => {
    const fleet = new Fleet({ limits: { maxManagers: 10 } });
    const alive = await Promise.all(
      Array.from({ length: 8 }, (_, user) => fleet.connect(`user-${user}`)),
    );
    const silent = await fleet.connect('eve', { isSilent: true });
    await fleet.clock.advance(fleet.options.heartbeat.intervalMs + 10_000);
    void fleet.cleanup.runEmergency();
    await fleet.clock.advance(fleet.options.cleanup.probeTimeoutMs);
    expect(silent.isActive).toBe(false);
    expect(alive.every(({ isActive }) => isActive)).toBe(true);
  });
});

describe('the heartbeat', () => {
  it('pings every connection once per interval with one timer, and closes those that do not reply', async () => {
    const fleet = new Fleet();
    const stop = fleet.heartbeat.start();
    const alive = await fleet.connectMany('ada', 10);
    const [zombie] = await fleet.connectMany('bob', 1, { isSilent: true });
    expect(fleet.clock.pendingTimers).toBe(1);
    const { intervalMs, timeoutMs } = fleet.options.heartbeat;
    await fleet.clock.advance(intervalMs);
    for (const manager of alive) expect(fleet.socketOf(manager).pings).toBe(1);
    await fleet.clock.advance(intervalMs + timeoutMs);
    expect(zombie!.isActive).toBe(false);
    expect(removals).toEqual([['zombie', 4443]]);
    expect(alive.every(({ isActive }) => isActive)).toBe(true);
    expect(alive.every(({ roundTripMs }) => roundTripMs !== undefined)).toBe(true);
    stop();
    expect(fleet.clock.pendingTimers).toBe(0);
  });

  it('spreads its pings over the interval', async () => {
    const fleet = new Fleet({ limits: { maxManagersPerUser: 1000 } });
    const managers = await fleet.connectMany('ada', 640);
    fleet.heartbeat.start();
    const perTick: number[] = [];
    let before = 0;
    for (let tick = 0; tick < 64; tick += 1) {
      await fleet.clock.advance(fleet.options.heartbeat.intervalMs / 64);
      const sum = managers.reduce((total, manager) => total + fleet.socketOf(manager).pings, 0);
      perTick.push(sum - before);
      before = sum;
    }
    expect(before).toBe(640);
    expect(Math.max(...perTick)).toBeLessThan(64);
    fleet.heartbeat.stop();
  });
});

describe('users', () => {
  it('whose ids contain `:` or `%` never share a key, a manager or a message', async () => {
    const fleet = new Fleet();
    const pairs = [
      ['a:b', 'c'],
      ['a', 'b:c'],
      ['a%3Ab', 'c'],
      ['a%', '3Ab:c'],
      ['ada@example.org', '123!@#$%'],
      ['小明', '茶'],
    ] as const;
    const managers: WebSocketManager[] = [];
    for (const [userId, threadId] of pairs) {
      managers.push(await fleet.factory.createManager(fleet.context(userId, threadId)));
    }
    expect(new Set(managers.map(({ context }) => context.isolationKey)).size).toBe(pairs.length);
    for (const [index, [userId, threadId]] of pairs.entries()) {
      expect(fleet.factory.managersOf(userId)).toEqual([managers[index]]);
      expect(fleet.factory.managersOfThread(userId, threadId)).toEqual([managers[index]]);
    }
    expect(managers[4]!.context.isolationKey).toBe('ada@example.org:123!@#$%25');
  });
});
