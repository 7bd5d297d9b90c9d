import { setImmediate as nextTurn } from 'node:timers/promises';

import { afterEach, beforeAll, afterAll, describe, expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import {
  type HealthThresholds,
  WebSocketIsolationHealthIndicator,
  WebSocketIsolationHealthModule,
} from 'nestjs-websocket-isolation/health';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { CleanupService } from '../../src/cleanup/cleanup.service.js';
import { HEALTH_RULES } from '../../src/health/health-rules.js';
import { ManagerRegistry } from '../../src/manager/manager-registry.js';
import { FakeClock } from '../../src/testing/fake-clock.js';
import { tableOf } from '../support/readme.js';
import { TestRedis } from '../support/redis.js';
import { startApp, type TestApp, type TestAppSetup } from '../support/test-app.js';

@Controller('health')
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly webSockets: WebSocketIsolationHealthIndicator,
  ) {}

  @Get('live')
  @HealthCheck()
  live(): unknown {
    return this.health.check([() => this.webSockets.isAlive()]);
  }

  @Get('ready')
  @HealthCheck()
  ready(): unknown {
    return this.health.check([() => this.webSockets.isReady()]);
  }
}

let letGo: (() => void) | undefined;

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  @SubscribeMessage('hang')
  hang(@CurrentManager() manager: WebSocketManager): unknown {
    manager.onDispose(() => new Promise<void>((resolve) => (letGo = resolve)));
    return { event: 'hanging' };
  }
}

let testApp: TestApp;
let clock: FakeClock;

// The other tests must not depend on how busy the machine is.
const NEVER_LATE = { eventLoopDelayMs: 60_000 };

async function start(
  setup: TestAppSetup['options'] = {},
  thresholds: Partial<HealthThresholds> = NEVER_LATE,
): Promise<void> {
  clock = new FakeClock();
  testApp = await startApp({
    providers: [ChatGateway],
    controllers: [HealthController],
    imports: [TerminusModule, WebSocketIsolationHealthModule.forRoot(thresholds)],
    options: { clock, ...setup },
  });
}

interface Answer {
  readonly http: number;
  readonly status: string;
  readonly problems: readonly string[];
}

async function ask(probe: 'live' | 'ready'): Promise<Answer> {
  const response = await fetch(`http://127.0.0.1:${testApp.port}/health/${probe}`);
  const { details } = (await response.json()) as {
    details: Record<string, { status: string; problems: string[] }>;
  };
  const { status, problems } = details['websocket-isolation']!;
  return { http: response.status, status, problems };
}

const UP: Answer = { http: 200, status: 'up', problems: [] };
const degraded = (problem: string): Answer => ({
  http: 200,
  status: 'degraded',
  problems: [problem],
});
const down = (problem: string): Answer => ({ http: 503, status: 'down', problems: [problem] });

/** Advances the clock past the second for which a reading is cached. */
function later(): Promise<void> {
  return clock.advance(1_000);
}

describe('the health of a process', () => {
  afterEach(async () => {
    letGo?.();
    await testApp.close();
  });

  it('is up, and degraded near its limit', async () => {
    await start({ limits: { maxManagers: 5 } });
    expect(await ask('ready')).toEqual(UP);
    expect(await ask('live')).toEqual(UP);
    const clients = await Promise.all(
      ['a', 'b', 'c', 'd', 'e'].map((user) => TestClient.open(testApp.url(`/chat?user=${user}`))),
    );
    // The reading is still cached.
    expect(await ask('ready')).toEqual(UP);
    await later();
    expect(await ask('ready')).toEqual(degraded('near-limit'));
    await Promise.all(clients.map((client) => client.close()));
    await eventually(async () => {
      await later();
      expect(await ask('live')).toEqual(UP);
    });
  });

  it('is degraded while the event loop is late, and recovers', async () => {
    await start({}, {});
    // Several long turns: a single one would not raise the 99th percentile.
    for (let turn = 0; turn < 6; turn += 1) {
      const until = performance.now() + 400;
      while (performance.now() < until);
      await nextTurn();
    }
    await later();
    expect(await ask('live')).toEqual(degraded('event-loop-late'));
    await eventually(async () => {
      // After two measurement windows, the delay is forgotten.
      await clock.advance(20_000);
      expect(await ask('live')).toEqual(UP);
    });
  });

  it('is degraded while clean-up is late', async () => {
    await start({ cleanup: { unattachedAfterMs: 1_000, emergencyIntervalMs: 1e9 } });
    const factory = testApp.app.get(WebSocketManagerFactory);
    const manager = await factory.createManager(
      UserExecutionContext.fromWebSocketRequest({ userId: 'ada' }),
    );
    // The jobs do not run, because their timers use the system clock.
    await clock.advance(61_000);
    expect(await ask('ready')).toEqual(UP);
    await clock.advance(1_001);
    expect(await ask('ready')).toEqual(degraded('cleanup-late'));
    await manager.close();
  });

  it('is not degraded before the clean-up has had its turn', async () => {
    const cleanup = {
      unattachedAfterMs: 1_000,
      emergencyIntervalMs: 1e9,
      proactiveIntervalMs: 120_000,
    };
    await start({ cleanup });
    const factory = testApp.app.get(WebSocketManagerFactory);
    const manager = await factory.createManager(
      UserExecutionContext.fromWebSocketRequest({ userId: 'ada' }),
    );
    await clock.advance(181_000);
    expect(await ask('ready')).toEqual(UP);
    await clock.advance(1_001);
    expect(await ask('ready')).toEqual(degraded('cleanup-late'));
    await manager.close();
  });

  it('is degraded when a closed connection leaves objects behind', async () => {
    await start();
    const client = await TestClient.open(testApp.url('/chat?user=ada'));
    await client.ask('hang');
    await client.close();
    const registry = testApp.app.get(ManagerRegistry, { strict: false });
    await eventually(() => expect(registry.closing.size).toBe(1));
    // `jump` fires no timers, so the deadline of the disposer does not fire, but the leak detector sees the new time.
    clock.jump(60_000);
    expect(await ask('ready')).toEqual(degraded('leak-suspected'));
  });

  it('is down after an emergency clean-up that timed out, until one completes', async () => {
    await start({
      limits: { maxManagers: 1 },
      cleanup: { staleAfterMs: 1_000, emergencyTimeoutMs: 10_000, disposeTimeoutMs: 60_000 },
    });
    const client = await TestClient.open(testApp.url('/chat?user=ada'));
    await client.ask('hang');
    const cleanup = testApp.app.get(CleanupService, { strict: false });
    clock.jump(2_000);
    const run = cleanup.runEmergency();
    await client.closed();
    await clock.advance(10_000);
    expect(await run).toMatchObject({ removed: 1, timedOut: true });
    await later();
    const problems = ['emergency-timeout', 'near-limit'];
    expect(await ask('ready')).toEqual({ http: 503, status: 'down', problems });
    expect(await ask('live')).toEqual({ http: 503, status: 'down', problems });
    letGo!();
    await cleanup.runEmergency();
    await later();
    expect(await ask('live')).toEqual(UP);
  });

  it('is down when two sweeps find the ledger out of balance', async () => {
    await start();
    const registry = testApp.app.get(ManagerRegistry, { strict: false });
    const cleanup = testApp.app.get(CleanupService, { strict: false });
    Object.defineProperty(registry, 'ledger', {
      configurable: true,
      value: { created: 2, active: 0, disposed: 1 },
    });
    await cleanup.runProactive();
    await later();
    expect(await ask('live')).toEqual(UP);
    await cleanup.runProactive();
    await later();
    expect(await ask('live')).toEqual(down('ledger-imbalance'));
    Reflect.deleteProperty(registry, 'ledger');
    await cleanup.runProactive();
    await later();
    expect(await ask('live')).toEqual(UP);
  });
});

describe('during a drain', () => {
  it('readiness is down at once, liveness is not', async () => {
    await start();
    const client = await TestClient.open(testApp.url('/chat?user=ada'));
    await client.ask('hang');
    expect(await ask('ready')).toEqual(UP);
    const closed = testApp.close();
    // The fake clock of the application has not advanced.
    expect(await ask('ready')).toEqual(down('draining'));
    expect(await ask('live')).toEqual(UP);
    await client.closed();
    await eventually(() => expect(letGo).toBeDefined());
    letGo!();
    await closed;
  });
});

describe('with a cluster', () => {
  let redis: TestRedis;
  beforeAll(async () => {
    redis = await TestRedis.start();
  });
  afterAll(() => redis.stop());

  it.each([
    ['local', degraded('cluster-away')],
    ['closed', down('cluster-closed')],
  ] as const)(
    'in %s mode, readiness depends on Redis and liveness does not',
    async (mode, away) => {
      const cluster = redisCluster({ url: redis.url, onUnavailable: mode });
      testApp = await startApp({
        providers: [ChatGateway],
        controllers: [HealthController],
        imports: [TerminusModule, WebSocketIsolationHealthModule.forRoot(NEVER_LATE)],
        options: { cluster },
      });
      await eventually(async () => expect(await ask('ready')).toEqual(UP));
      await redis.kill();
      await eventually(async () => expect(await ask('ready')).toEqual(away));
      expect(await ask('live')).toEqual(UP);
      await redis.launch();
      await eventually(async () => expect(await ask('ready')).toEqual(UP));
      await testApp.close();
    },
  );
});

describe('docs/health.md', () => {
  it('has every rule, and no other', () => {
    const rows = tableOf('docs/health.md', 'health').map(([problem, status, probe]) => [
      problem!.replaceAll('`', ''),
      status!.replaceAll('`', ''),
      probe,
    ]);
    expect(rows).toEqual(
      HEALTH_RULES.map(({ problem, status, readinessOnly }) => [
        problem,
        status,
        readinessOnly ? 'readiness' : 'both',
      ]),
    );
  });
});
