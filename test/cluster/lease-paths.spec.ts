import { Injectable, Scope } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  ClusterUnavailableError,
  CurrentManager,
  IsolatedGateway,
  ManagerClosedError,
  ManagerLimitError,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { Fleet } from '../support/fleet.js';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { ScriptedCluster } from '../support/scripted-cluster.js';
import { startApp, type TestApp } from '../support/test-app.js';

describe('the slot of an arrival in a cluster', () => {
  const cluster = new ScriptedCluster();
  const fleet = new Fleet({ cluster: cluster.definition, limits: { maxManagersPerUser: 2 } });
  const { factory } = fleet;
  afterEach(() => {
    const { created, active, disposed } = fleet.registry.ledger;
    expect([created - disposed, active, fleet.registry.userCount]).toEqual([0, 0, 0]);
    expect(cluster.releases.every((count) => count === 1)).toBe(true);
    cluster.leases.length = 0;
  });
  const arrival = (userId = 'ada') => {
    const outcome = factory.createManager(fleet.context(userId));
    const settled = outcome.catch((error: unknown) => error);
    return fleet.clock.settle().then(() => ({ settled, lease: cluster.leases.at(-1)! }));
  };

  it('is taken on the node first, then in the cluster, and both are released', async () => {
    const { settled, lease } = await arrival();
    expect(fleet.registry.slotsOf('ada')!.held).toBe(1);
    expect(lease.releases).toBe(0);
    lease.answerWith('held');
    const manager = (await settled) as WebSocketManager;
    expect(manager.isActive).toBe(true);
    await manager.close();
    await manager.close();
  });

  it.each([
    ['full', ManagerLimitError, 'MANAGER_LIMIT'],
    ['unavailable', ClusterUnavailableError, 'CLUSTER_UNAVAILABLE'],
  ] as const)(
    'for which the cluster returns "%s" leaves nothing behind',
    async (answer, type, code) => {
      const { limitHits } = factory.counters;
      const { settled, lease } = await arrival();
      lease.answerWith(answer);
      const error = await settled;
      expect(error).toBeInstanceOf(type);
      expect(error).toMatchObject({ code });
      const { retryAfterMs } = error as ManagerLimitError;
      expect(retryAfterMs).toBeGreaterThanOrEqual(5_000);
      expect(retryAfterMs).toBeLessThanOrEqual(10_000);
      await fleet.clock.settle();
      expect(factory.counters.limitHits - limitHits).toBe(answer === 'full' ? 1 : 0);
    },
  );

  it('without a lease counts on the node, if onUnavailable allows it', async () => {
    const { settled, lease } = await arrival();
    lease.answerWith('unleased');
    const manager = (await settled) as WebSocketManager;
    expect(manager.isActive).toBe(true);
    await manager.close();
  });

  it('is taken once, even if it is requested several times', async () => {
    const context = fleet.context('ada');
    const asked = [factory.createManager(context), factory.createManager(context)];
    await fleet.clock.settle();
    asked.push(factory.createManager(context));
    cluster.leases[0]!.answerWith('held');
    const managers = new Set(await Promise.all(asked));
    expect([managers.size, cluster.leases.length]).toEqual([1, 1]);
    await [...managers][0]!.close();
  });

  it('is not requested from the cluster if the node has no free slot', async () => {
    const first = [await arrival(), await arrival()];
    first.forEach(({ lease }) => lease.answerWith('held'));
    const managers = (await Promise.all(first.map(({ settled }) => settled))) as WebSocketManager[];
    const { settled } = await arrival();
    expect(await settled).toBeInstanceOf(ManagerLimitError);
    expect(cluster.leases.length).toBe(2);
    await Promise.all(managers.map((manager) => manager.close()));
  });

  it('is released when the user is disconnected before the lease is granted', async () => {
    const { settled, lease } = await arrival();
    await factory.disconnectUser('ada');
    expect(lease.releases).toBe(1);
    lease.answerWith('held');
    expect(await settled).toBeInstanceOf(ManagerClosedError);
  });

  it('is released when the process ends before the lease is granted', async () => {
    const { settled, lease } = await arrival();
    const ended = factory.shutdown();
    lease.answerWith('held');
    expect(await settled).toBeInstanceOf(ManagerClosedError);
    await ended;
  });
});

let failsToOpen = false;

@Injectable({ scope: Scope.REQUEST })
class Fragile {
  constructor() {
    if (failsToOpen) throw new Error('planned');
  }
}

let handled: string[] = [];

@IsolatedGateway({ path: '/chat' })
class Gateway {
  constructor(readonly fragile: Fragile) {}

  @SubscribeMessage('note')
  note(@CurrentManager() manager: WebSocketManager): { event: string } {
    handled.push(manager.context.connectionId);
    return { event: 'noted' };
  }
}

describe('a connection in a cluster', () => {
  let app: TestApp | undefined;
  afterEach(async () => {
    failsToOpen = false;
    handled = [];
    await app?.close();
    app = undefined;
  });
  const start = async (cluster: ScriptedCluster): Promise<WebSocketManagerFactory> => {
    app = await startApp({
      providers: [Gateway, Fragile],
      options: { cluster: cluster.definition },
    });
    return app.app.get(WebSocketManagerFactory);
  };
  const url = () => app!.url('/chat?user=ada');

  it('releases its slot when the client leaves before the lease is granted', async () => {
    const cluster = new ScriptedCluster();
    const factory = await start(cluster);
    const raw = await RawSocket.open(app!.port);
    raw.write(upgradeRequest('/chat?user=ada'));
    await eventually(() => expect(cluster.leases.length).toBe(1));
    raw.destroy();
    await eventually(() => expect(raw.isClosed).toBe(true));
    cluster.leases[0]!.answerWith('held');
    await eventually(() => expect(cluster.releases).toEqual([1]));
    expect(factory.getStats().currentState.activeManagers).toBe(0);
  });

  it('is refused with 503 and retry-after when it is ended before the lease is granted', async () => {
    const cluster = new ScriptedCluster();
    const factory = await start(cluster);
    const opening = TestClient.open(url()).catch((error: unknown) => error);
    await eventually(() => expect(cluster.leases.length).toBe(1));
    await factory.disconnectUser('ada');
    cluster.leases[0]!.answerWith('held');
    expect(await opening).toMatchObject({
      status: 503,
      headers: { 'retry-after': expect.stringMatching(/^([5-9]|10)$/) },
    });
    expect(cluster.releases).toEqual([1]);
  });

  it('releases its slot when its scope cannot be created', async () => {
    const cluster = new ScriptedCluster('held');
    await start(cluster);
    failsToOpen = true;
    await expect(TestClient.open(url())).rejects.toMatchObject({ status: 500 });
    await eventually(() => expect(cluster.releases).toEqual([1]));
  });

  it('is refused with 503 and retry-after while the cluster is unavailable', async () => {
    const cluster = new ScriptedCluster('unavailable');
    await start(cluster);
    const refused = await TestClient.open(url()).catch((error: unknown) => error);
    expect(refused).toMatchObject({
      status: 503,
      headers: { 'retry-after': expect.stringMatching(/^([5-9]|10)$/) },
    });
    expect(JSON.parse((refused as { body: string }).body)).toMatchObject({
      reason: 'cluster-unavailable',
    });
    await eventually(() => expect(cluster.releases).toEqual([1]));
  });

  it('ends with 4442 when its slot is lost, and with 4409 when a newer one has it', async () => {
    const cluster = new ScriptedCluster('held');
    await start(cluster);
    const clients = [await TestClient.open(url()), await TestClient.open(url())];
    const [lost, evicted] = cluster.leases;
    cluster.holder!.lost(lost!.connectionId, 'lease-lost');
    cluster.holder!.lost(evicted!.connectionId, 'evicted');
    expect(await Promise.all(clients.map((client) => client.closed()))).toEqual([4442, 4409]);
    await eventually(() => expect(cluster.releases).toEqual([1, 1]));
  });

  it('has its messages held, in order, while it is uncertain whether it still has its slot', async () => {
    const cluster = new ScriptedCluster('held');
    await start(cluster);
    const [keeps, loses] = [await TestClient.open(url()), await TestClient.open(url())];
    await keeps.ask('note');
    handled = [];
    cluster.freshUntil = 0;
    for (const client of [keeps, loses]) {
      client.send('note');
      client.send('note');
    }
    await eventually(() => expect(cluster.held.size).toBe(2));
    expect(handled).toEqual([]);
    cluster.holder!.lost(cluster.leases[1]!.connectionId, 'lease-lost');
    cluster.freshUntil = Number.POSITIVE_INFINITY;
    for (const held of cluster.held) held.resume();
    await keeps.next();
    await keeps.next();
    expect(await loses.closed()).toBe(4442);
    const own = cluster.leases[0]!.connectionId;
    expect(handled).toEqual([own, own]);
  });

  it('ends with the process: it releases its slot, closes, and then the node leaves the cluster', async () => {
    const cluster = new ScriptedCluster('held');
    await start(cluster);
    const client = await TestClient.open(url());
    const isOpenAt: Record<string, boolean> = {};
    cluster.onCall = (name) => {
      isOpenAt[name] = client.closeCode === undefined && cluster.releases[0] === 0;
    };
    await app!.close();
    expect(cluster.calls).toEqual(['join', 'drain', 'leave']);
    expect(isOpenAt).toEqual({ drain: true, leave: false });
    expect(await client.closed()).toBe(1001);
  });
});
