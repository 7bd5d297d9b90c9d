import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  Controller,
  type ExecutionContext,
  Get,
  type INestApplication,
  type NestInterceptor,
  RequestMethod,
  type VersioningOptions,
  VersioningType,
} from '@nestjs/common';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import { WebSocketIsolationMetricsModule } from 'nestjs-websocket-isolation/metrics';
import { Registry } from 'prom-client';
import { map, type Observable } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

@Controller('orders')
class OrdersController {
  @Get() all(): string[] {
    return ['tea'];
  }
}

const wrapAll: NestInterceptor = {
  intercept: (_context: ExecutionContext, next: CallHandler): Observable<unknown> =>
    next.handle().pipe(map((data: unknown) => ({ data }))),
};

let testApp: TestApp | undefined;
afterEach(async () => {
  await testApp?.close();
  testApp = undefined;
});

const adapters = [
  { name: 'Express', make: () => undefined },
  { name: 'Fastify', make: () => new FastifyAdapter() },
];
const OWN = ['metrics', 'dashboard', 'dashboard/state?viewer=aaaa-bbbb-cccc', 'dashboard/page.js'];

async function start(
  make: () => FastifyAdapter | undefined,
  prepare: (app: INestApplication) => void,
): Promise<void> {
  const adapter = make();
  testApp = await startApp({
    controllers: [OrdersController],
    imports: [
      WebSocketIsolationMetricsModule.forRoot({ path: 'metrics', registry: new Registry() }),
      WebSocketIsolationDashboardModule.forRoot({ allowAnonymous: true }),
    ],
    prepare,
    ...(adapter && { adapter }),
  });
}

const get = (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  fetch(`http://127.0.0.1:${testApp!.port}/${path}`, { headers });

const statuses = async (prefix = '', headers?: Record<string, string>): Promise<number[]> =>
  Promise.all(OWN.map(async (path) => (await get(`${prefix}${path}`, headers)).status));

describe.each(adapters)('on $name, the routes of the library', ({ make }) => {
  const versionings: [string, VersioningOptions, string, Record<string, string>][] = [
    ['in the URL', { type: VersioningType.URI, defaultVersion: '1' }, 'v1/orders', {}],
    [
      'in a header',
      { type: VersioningType.HEADER, header: 'x-version', defaultVersion: '1' },
      'orders',
      { 'x-version': '1' },
    ],
    [
      'in the media type',
      { type: VersioningType.MEDIA_TYPE, key: 'v=', defaultVersion: '1' },
      'orders',
      { accept: 'application/json;v=1' },
    ],
  ];

  it.each(versionings)('have no version: %s', async (_where, options, orders, headers) => {
    await start(make, (app) => void app.enableVersioning(options));
    expect((await get(orders, headers)).status).toBe(200);
    expect((await get('orders')).status).toBe(404);
    expect(await statuses()).toEqual([200, 200, 200, 200]);
  });

  it('are all below the global prefix', async () => {
    await start(make, (app) => {
      app
        .setGlobalPrefix('api')
        .enableVersioning({ type: VersioningType.URI, defaultVersion: '1' });
    });
    expect(await statuses('api/')).toEqual([200, 200, 200, 200]);
    expect(await statuses()).toEqual([404, 404, 404, 404]);
  });

  it('are outside the prefix if the app excludes them', async () => {
    const exclude = [
      { path: 'metrics', method: RequestMethod.GET },
      'dashboard',
      'dashboard/*path',
    ];
    await start(make, (app) => void app.setGlobalPrefix('api', { exclude }));
    expect((await get('api/orders')).status).toBe(200);
    expect(await statuses()).toEqual([200, 200, 200, 200]);
    expect(await statuses('api/')).toEqual([404, 404, 404, 404]);
  });

  it('are not wrapped by an interceptor of the app', async () => {
    await start(make, (app) => void app.useGlobalInterceptors(wrapAll));
    expect(await (await get('orders')).json()).toEqual({ data: ['tea'] });
    const metrics = await get('metrics');
    expect(metrics.headers.get('content-type')).toMatch(/^text\/plain;.* version=0\.0\.4/);
    expect(metrics.headers.get('cache-control')).toBe('no-store');
    expect(await metrics.text()).toMatch(/^# HELP /);
    expect(
      Object.keys((await (await get('dashboard/state?viewer=aaaa-bbbb-cccc')).json()) as object),
    ).not.toEqual(['data']);
  });
});
