import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { SubscribeMessage, WsException } from '@nestjs/websockets';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import {
  CloseCode,
  CurrentManager,
  IsolatedGateway,
  IsolationEventBus,
  LeakDetector,
  type WebSocketManager,
} from 'nestjs-websocket-isolation';
import {
  ISOLATION_METRICS,
  WebSocketIsolationMetrics,
  WebSocketIsolationMetricsModule,
} from 'nestjs-websocket-isolation/metrics';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import { Counter, register, Registry } from 'prom-client';

import { type Family, parsePrometheusText, valueOf } from '../support/prometheus-text.js';
import { TestRedis } from '../support/redis.js';
import { startApp, type TestApp, type TestAppSetup } from '../support/test-app.js';

/** The number of users, events and codes: `SERIES=1000000`. The default is enough to detect series that grow. */
const DISTINCT = Number(process.env['SERIES'] ?? 100_000);

@IsolatedGateway({ path: '/measured' })
class MeasuredGateway {
  @SubscribeMessage('echo')
  echo(): unknown {
    return { event: 'echoed' };
  }

  @SubscribeMessage('fail')
  fail(): never {
    throw new Error('planned');
  }

  @SubscribeMessage('refuse')
  refuse(): never {
    throw new WsException('planned');
  }

  @SubscribeMessage('unsendable')
  unsendable(@CurrentManager() manager: WebSocketManager): unknown {
    manager.send('unsendable', 1n);
    return { event: 'tried' };
  }

  @SubscribeMessage('pin')
  pin(@CurrentManager() manager: WebSocketManager): unknown {
    manager.pin('work');
    return { event: 'pinned' };
  }

  @SubscribeMessage('disposer')
  disposer(@CurrentManager() manager: WebSocketManager): unknown {
    manager.onDispose(() => {
      throw new Error('planned');
    });
    return { event: 'registered' };
  }
}

/** The metrics of a process without a cluster. */
const withoutCluster = ISOLATION_METRICS.filter(({ name }) => !name.startsWith('cluster_'));

let testApp: TestApp;

async function start(setup: TestAppSetup = {}, registry = new Registry()): Promise<void> {
  testApp = await startApp({
    providers: [MeasuredGateway],
    imports: [WebSocketIsolationMetricsModule.forRoot({ registry, path: 'metrics' })],
    ...setup,
  });
}

async function scrape(): Promise<Map<string, Family>> {
  const response = await fetch(`http://127.0.0.1:${testApp.port}/metrics`);
  expect(response.headers.get('content-type')).toMatch(/^text\/plain; .*version=0\.0\.4/);
  return parsePrometheusText(await response.text());
}

async function countSeries(): Promise<number> {
  return [...(await scrape()).values()].reduce((sum, { series }) => sum + series.length, 0);
}

const metric = (name: string): string => `ws_isolation_${name}`;

describe('the metrics', () => {
  beforeAll(() =>
    start({ options: { heartbeat: { intervalMs: 64 }, limits: { maxManagersPerUser: 2 } } }),
  );
  afterAll(() => testApp.close());

  it('are valid Prometheus text, and exactly the declared metrics', async () => {
    const families = await scrape();
    expect([...families.keys()].toSorted()).toEqual(
      withoutCluster.map(({ name }) => metric(name)).toSorted(),
    );
    for (const { name, kind, help, labels } of withoutCluster) {
      const family = families.get(metric(name))!;
      expect(family).toMatchObject({ kind, help });
      const used = family.series.flatMap((series) => Object.keys(series.labels));
      const undeclared = used.filter((label) => label !== 'le' && !labels.includes(label));
      expect(undeclared).toEqual([]);
      expect(name.endsWith('_total')).toBe(kind === 'counter');
    }
  });

  it('count connections, messages and failures', async () => {
    const before = await scrape();
    const client = await TestClient.open(testApp.url('/measured?user=ada'));
    const other = await TestClient.open(testApp.url('/measured?user=ada'));
    await expect(TestClient.open(testApp.url('/measured?user=ada'))).rejects.toThrow('429');
    await expect(TestClient.open(testApp.url('/measured'))).rejects.toThrow('401');
    await client.ask('echo');
    await client.ask('fail');
    await client.ask('refuse');
    await client.ask('unsendable');
    await client.ask('disposer');
    await other.ask('pin');
    client.send('nobody');
    await eventually(async () => {
      const now = await scrape();
      const value = (name: string, labels = {}): number => valueOf(now, metric(name), labels);
      expect({
        ready: value('connections_active', { path: '/measured', state: 'ready' }),
        opened: value('connections_opened_total', { path: '/measured' }),
        overLimit: value('connections_refused_total', { path: '/measured', reason: 'user-limit' }),
        unauthorized: value('connections_refused_total', { reason: 'unauthorized' }),
        pinned: value('managers_pinned'),
        atLimit: value('users_at_limit'),
        users: value('users_active'),
        echoes: value('handler_duration_seconds_count', { event: 'echo', outcome: 'ok' }),
        failures: value('handler_duration_seconds_count', { event: 'fail', outcome: 'failed' }),
        failed: value('handler_failures_total', { fault: 'server' }),
        refused: value('handler_failures_total', { fault: 'client' }),
        unsent: value('messages_unsent_total', { reason: 'unserializable' }),
        dropped: value('messages_dropped_total', { reason: 'unknown-event' }),
        received: value('messages_received_total'),
        // The replies to echo, pin, disposer and unsendable, and two exceptions.
        sent: value('messages_sent_total'),
      }).toEqual({
        ready: 2,
        opened: 2,
        overLimit: 1,
        unauthorized: 1,
        pinned: 1,
        atLimit: 1,
        users: 1,
        echoes: 1,
        failures: 1,
        failed: 1,
        refused: 1,
        unsent: 1,
        dropped: 1,
        received: 7,
        sent: 6,
      });
      expect(value('ping_rtt_seconds_count')).toBeGreaterThan(0);
      expect(value('handshake_duration_seconds_count')).toBe(4);
      expect(value('received_bytes_total')).toBeGreaterThan(0);
      const lengths = [client, other].flatMap(({ messages }) =>
        messages.map((message) => JSON.stringify(message).length),
      );
      expect(value('sent_bytes_total')).toBe(lengths.reduce((sum, length) => sum + length, 0));
    });
    expect(valueOf(before, metric('connections_opened_total'))).toBe(0);
    await client.close(3777);
    other.terminate();
    await eventually(async () => {
      const now = await scrape();
      const value = (name: string, labels = {}): number => valueOf(now, metric(name), labels);
      expect({
        byCode: value('connections_closed_total', { initiator: 'client', code: 'other' }),
        cut: value('connections_closed_total', { initiator: 'network', code: '1006' }),
        lived: value('connection_duration_seconds_count'),
        active: value('connections_active'),
        managers: value('managers_active'),
        disposed: value('managers_disposed_total'),
        faults: value('disposal_faults_total', { outcome: 'failed' }),
        imbalance: value('manager_ledger_imbalance'),
        sent: value('messages_sent_total'),
      }).toEqual({
        byCode: 1,
        cut: 1,
        lived: 2,
        active: 0,
        managers: 0,
        disposed: 2,
        faults: 1,
        imbalance: 0,
        sent: 6,
      });
    });
  });

  it('agree with the ledger', async () => {
    const families = await scrape();
    const { ledger } = testApp.app.get(LeakDetector).getReport();
    expect({
      created: valueOf(families, metric('managers_created_total')),
      active: valueOf(families, metric('managers_active')),
      disposed: valueOf(families, metric('managers_disposed_total')),
    }).toEqual(ledger);
  });

  it(`have no more series after ${DISTINCT} users, events and codes`, async () => {
    const bus = testApp.app.get(IsolationEventBus);
    const client = await TestClient.open(testApp.url('/measured?user=flood'));
    const feed = (index: number): void => {
      const id = `id-${index}`;
      const subject = { userId: id, threadId: id, connectionId: id, isolationKey: id };
      const reason = { code: 3000 + (index % 2000), reason: id, initiator: 'client' as const };
      const path = '/measured';
      bus.topic('connection-closed').publish({ subject, path, reason, connectedMs: index });
      bus.topic('manager-disposed').publish({ subject, reason, lifetimeMs: 1, disposalMs: index });
      bus.topic('slow-consumer').publish({ subject, bufferedBytes: index });
    };
    // Every possible close code once.
    for (let index = 0; index < 2_000; index += 1) feed(index);
    client.send('never-heard-of');
    await client.ask('echo');
    const before = await countSeries();
    for (let index = 2_000; index <= DISTINCT; index += 1) feed(index);
    // A client sends made-up events. No handler exists for them.
    for (let index = 0; index < 500; index += 1) client.send(`made-up-${index}`);
    await client.ask('echo');
    expect(await countSeries()).toBe(before);
    const byClients = (await scrape())
      .get(metric('connections_closed_total'))!
      .series.filter(({ labels }) => labels['initiator'] === 'client');
    expect(byClients.length).toBeLessThanOrEqual(Object.values(CloseCode).length + 1);
    await client.close();
  });
});

describe('the metrics of a cluster', () => {
  it('follow the cluster over two processes, and through the loss of Redis', async () => {
    await using redis = await TestRedis.start();
    const registry = new Registry();
    await start(
      { options: { cluster: redisCluster({ url: redis.url, nodeName: 'measured' }) } },
      registry,
    );
    const other = await startApp({
      options: { cluster: redisCluster({ url: redis.url, nodeName: 'other' }) },
    });
    const client = await TestClient.open(testApp.url('/measured?user=ada'));
    await eventually(async () => {
      const families = await scrape();
      const value = (name: string, labels = {}): number => valueOf(families, metric(name), labels);
      expect([...families.keys()].toSorted()).toEqual(
        ISOLATION_METRICS.map(({ name }) => metric(name)).toSorted(),
      );
      expect({
        up: value('cluster_state', { state: 'up' }),
        states: value('cluster_state'),
        nodes: value('cluster_nodes', { state: 'up' }),
        held: value('cluster_leases', { kind: 'held' }),
        unleased: value('cluster_leases', { kind: 'unleased' }),
      }).toEqual({ up: 1, states: 1, nodes: 2, held: 1, unleased: 0 });
    });
    await other.close();
    await redis.kill();
    await eventually(async () => {
      const families = await scrape();
      expect(valueOf(families, metric('cluster_state'), { state: 'local' })).toBe(1);
      const lost = { reason: 'connection' };
      expect(valueOf(families, metric('cluster_failures_total'), lost)).toBeGreaterThan(0);
    });
    client.terminate();
    await testApp.close();
  });
});

describe('the metrics and those of the app', () => {
  afterEach(() => register.clear());

  it('are registered in the registry of the app, and removed when the app closes', async () => {
    const own = new Counter({ name: 'app_orders_total', help: 'Orders.' });
    own.inc();
    testApp = await startApp({
      providers: [MeasuredGateway],
      imports: [WebSocketIsolationMetricsModule.forRoot()],
    });
    expect(testApp.app.get(WebSocketIsolationMetrics).registry).toBe(register);
    const families = parsePrometheusText(await register.metrics());
    expect(valueOf(families, 'app_orders_total')).toBe(1);
    expect(valueOf(families, metric('managers_active'))).toBe(0);
    await testApp.close();
    expect(register.getMetricsAsArray().map(({ name }) => name)).toEqual(['app_orders_total']);
  });

  it('name the fix when two applications share a registry', async () => {
    const registry = new Registry();
    await start({}, registry);
    await expect(
      startApp({ imports: [WebSocketIsolationMetricsModule.forRoot({ registry })] }),
    ).rejects.toMatchObject({ code: 'METRICS_TAKEN', message: expect.stringContaining('prefix') });
    const second = await startApp({
      imports: [WebSocketIsolationMetricsModule.forRoot({ registry, prefix: 'second_' })],
    });
    expect(await registry.metrics()).toContain('second_managers_active 0');
    await second.close();
    expect(await registry.metrics()).not.toContain('second_');
    await testApp.close();
    expect(await registry.metrics()).toBe('\n');
  });

  it('refuse a prefix that is invalid in Prometheus', async () => {
    await expect(
      startApp({ imports: [WebSocketIsolationMetricsModule.forRoot({ prefix: '1-app' })] }),
    ).rejects.toMatchObject({ code: 'INVALID_METRIC_PREFIX' });
  });

  it('are served by Fastify too', async () => {
    await start({ adapter: new FastifyAdapter() });
    const [info] = (await scrape()).get(metric('build_info'))!.series;
    expect(info!.labels).toMatchObject({
      version: expect.stringMatching(/^\d+\.\d+\.\d+/),
      nest_version: expect.stringMatching(/^12\./),
      node_version: process.version,
      adapter: 'fastify',
    });
    await testApp.close();
  });
});
