import {
  Controller,
  type DynamicModule,
  Get,
  Module,
  Res,
  type Type,
  VERSION_NEUTRAL,
} from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

import {
  aPath,
  assertPlainOptions,
  aText,
  type OptionRules,
  withMethods,
} from '../config/plain-options.js';
import { optionalPeer } from '../config/optional-peer.js';
import type { PromClient } from './metric.js';
import { MetricSources } from './metric-sources.js';
import {
  METRICS_OPTIONS,
  PROM_CLIENT,
  WebSocketIsolationMetrics,
  type WebSocketIsolationMetricsOptions,
} from './web-socket-isolation-metrics.js';

const RULES: OptionRules<WebSocketIsolationMetricsOptions> = {
  registry: withMethods(
    'a Registry of prom-client',
    'registerMetric',
    'getSingleMetric',
    'metrics',
  ),
  prefix: aText,
  path: aPath,
};

/**
 * Prometheus metrics of all isolated connections, through `prom-client`.
 *
 * @example
 * ```ts
 * imports: [WebSocketIsolationModule.forRoot(), WebSocketIsolationMetricsModule.forRoot({ path: 'metrics' })]
 * ```
 */
@Module({})
export class WebSocketIsolationMetricsModule {
  /**
   * Import it once, in addition to `WebSocketIsolationModule`.
   *
   * @throws {InvalidOptionsError} naming every option that breaks its rule
   */
  static forRoot(options: WebSocketIsolationMetricsOptions = {}): DynamicModule {
    assertPlainOptions('WebSocketIsolationMetricsModule.forRoot()', options, RULES);
    return {
      module: WebSocketIsolationMetricsModule,
      controllers: options.path === undefined ? [] : [controllerAt(options.path)],
      providers: [
        { provide: METRICS_OPTIONS, useValue: options },
        { provide: PROM_CLIENT, useFactory: loadPromClient },
        MetricSources,
        WebSocketIsolationMetrics,
      ],
      exports: [WebSocketIsolationMetrics],
    };
  }
}

// Makes the class per call, because the path of a controller is an argument of its decorator.
function controllerAt(path: string): Type {
  @Controller({ path, version: VERSION_NEUTRAL })
  class MetricsController {
    constructor(
      private readonly metrics: WebSocketIsolationMetrics,
      private readonly host: HttpAdapterHost,
    ) {}

    // Sent directly: an interceptor of the app that wraps all responses would make the text unreadable.
    @Get()
    async read(@Res() response: object): Promise<void> {
      const { registry } = this.metrics;
      const { httpAdapter } = this.host;
      const text = await registry.metrics();
      httpAdapter.setHeader(response, 'Cache-Control', 'no-store');
      httpAdapter.setHeader(response, 'Content-Type', registry.contentType);
      httpAdapter.reply(response, text);
    }
  }
  return MetricsController;
}

function loadPromClient(): Promise<PromClient> {
  return optionalPeer('metrics', 'prom-client', () => import('prom-client'));
}
