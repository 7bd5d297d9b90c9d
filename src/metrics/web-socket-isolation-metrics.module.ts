import {
  Controller,
  type DynamicModule,
  Get,
  Header,
  Module,
  Res,
  type Type,
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
   * Imported once, beside `WebSocketIsolationModule`.
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

// Made here because the path of a controller stands in its decorator.
function controllerAt(path: string): Type {
  @Controller(path)
  class MetricsController {
    constructor(
      private readonly metrics: WebSocketIsolationMetrics,
      private readonly host: HttpAdapterHost,
    ) {}

    @Get()
    @Header('Cache-Control', 'no-store')
    read(@Res({ passthrough: true }) response: object): Promise<string> {
      const { registry } = this.metrics;
      this.host.httpAdapter.setHeader(response, 'Content-Type', registry.contentType);
      return registry.metrics();
    }
  }
  return MetricsController;
}

function loadPromClient(): Promise<PromClient> {
  return optionalPeer('metrics', 'prom-client', () => import('prom-client'));
}
