import { type DynamicModule, Module } from '@nestjs/common';
import { HealthIndicatorService } from '@nestjs/terminus';

import type { HealthThresholds } from './health-rules.js';
import { ProcessHealth } from './process-health.js';
import {
  HEALTH_THRESHOLDS,
  WebSocketIsolationHealthIndicator,
} from './web-socket-isolation.health.js';

const DEFAULT_THRESHOLDS: HealthThresholds = {
  usage: 0.8,
  eventLoopDelayMs: 200,
  cleanupLagMs: 60_000,
};

/**
 * Health checks of the WebSocket side, beside those of `@nestjs/terminus`.
 *
 * @example
 * ```ts
 * imports: [TerminusModule, WebSocketIsolationHealthModule.forRoot()]
 * ```
 */
@Module({})
export class WebSocketIsolationHealthModule {
  /** Imported beside `WebSocketIsolationModule`, where the health controller is. */
  static forRoot(thresholds: Partial<HealthThresholds> = {}): DynamicModule {
    return {
      module: WebSocketIsolationHealthModule,
      providers: [
        { provide: HEALTH_THRESHOLDS, useValue: { ...DEFAULT_THRESHOLDS, ...thresholds } },
        HealthIndicatorService,
        ProcessHealth,
        WebSocketIsolationHealthIndicator,
      ],
      exports: [WebSocketIsolationHealthIndicator],
    };
  }
}
