// `npm run typecheck` checks this file; it never runs. It contains code that must compile, and code that must not.
import type { CanActivate, INestApplication } from '@nestjs/common';
import { IsolationEventBus, type Release } from 'nestjs-websocket-isolation';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import {
  type WebSocketIsolationHealthIndicator,
  WebSocketIsolationHealthModule,
} from 'nestjs-websocket-isolation/health';
import { WebSocketIsolationMetricsModule } from 'nestjs-websocket-isolation/metrics';
import { WebSocketIsolationTracingModule } from 'nestjs-websocket-isolation/otel';
import {
  expectNoLeaks,
  startTestApplication,
  type TestClient,
} from 'nestjs-websocket-isolation/testing';
import { Registry } from 'prom-client';

export function events(bus: IsolationEventBus): Release[] {
  return [
    bus.on('connection-refused', ({ reason, status }) => void `${reason} ${status.toFixed()}`),
    bus.on('cleanup-finished', async ({ abandoned }) => {
      await Promise.resolve(abandoned.length);
    }),
    bus.onAny((name, details) => void `${name.length} ${Object.keys(details).length}`),
    // @ts-expect-error an event that does not exist
    bus.on('connection-lost', () => undefined),
    // @ts-expect-error a detail that this event does not have
    bus.on('manager-created', ({ reason }) => void reason),
  ];
}

WebSocketIsolationMetricsModule.forRoot();
WebSocketIsolationMetricsModule.forRoot({ registry: new Registry(), prefix: 'app_', path: 'm' });
// @ts-expect-error the app cannot choose the labels
WebSocketIsolationMetricsModule.forRoot({ labels: ['userId'] });

WebSocketIsolationTracingModule.forRoot({ includeIdentity: true });
// @ts-expect-error payloads are never traced
WebSocketIsolationTracingModule.forRoot({ includePayload: true });

class AdminGuard implements CanActivate {
  canActivate(): boolean {
    return true;
  }
}

WebSocketIsolationDashboardModule.forRoot({
  guard: ({ headers }) => headers['x-role'] === 'admin',
});
WebSocketIsolationDashboardModule.forRoot({ guard: AdminGuard, canAct: async () => false });
WebSocketIsolationDashboardModule.forRoot({ allowAnonymous: true, imports: [] });
// @ts-expect-error a guard is a class with canActivate() or a function
WebSocketIsolationDashboardModule.forRoot({ guard: Registry });
// @ts-expect-error an option that does not exist
WebSocketIsolationDashboardModule.forRoot({ guard: AdminGuard, readonly: true });

WebSocketIsolationHealthModule.forRoot({ usage: 0.9 });
// @ts-expect-error a threshold that does not exist
WebSocketIsolationHealthModule.forRoot({ memory: 0.9 });

export function health(indicator: WebSocketIsolationHealthIndicator): string {
  const status: 'up' | 'degraded' | 'down' = indicator.isReady()['websocket-isolation'].status;
  // @ts-expect-error the result has the key that was asked for
  void indicator.isAlive('live').ready;
  return status;
}

export async function kit(root: INestApplication): Promise<number> {
  await using app = await startTestApplication(root);
  const client: TestClient = await app.connectAs({ userId: 'ada' }, '/chat');
  const { event }: { event: string } = await client.next('said');
  // @ts-expect-error an identity needs a user
  await app.connectAs({ threadId: event }, '/chat');
  await expectNoLeaks(app.app);
  return client.closed();
}
