import { Controller, type DynamicModule, Get, Header, Module, type Type } from '@nestjs/common';
import { register } from 'prom-client';

import {
  aPath,
  assertPlainOptions,
  aText,
  type OptionRules,
  withMethods,
} from '../config/plain-options.js';
import { MetricSources } from './metric-sources.js';
import {
  METRICS_OPTIONS,
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
      controllers: options.path === undefined ? [] : [controllerAt(options.path, options)],
      providers: [
        { provide: METRICS_OPTIONS, useValue: options },
        MetricSources,
        WebSocketIsolationMetrics,
      ],
      exports: [WebSocketIsolationMetrics],
    };
  }
}

// Made here because the path of a controller stands in its decorator.
function controllerAt(
  path: string,
  { registry = register }: WebSocketIsolationMetricsOptions,
): Type {
  @Controller(path)
  class MetricsController {
    @Get()
    @Header('Content-Type', registry.contentType)
    @Header('Cache-Control', 'no-store')
    metrics(): Promise<string> {
      return registry.metrics();
    }
  }
  return MetricsController;
}
