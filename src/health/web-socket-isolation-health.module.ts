import { type DynamicModule, Module } from '@nestjs/common';

import {
  assertPlainOptions,
  durationMs,
  type OptionRules,
  share,
} from '../config/plain-options.js';
import { optionalPeer } from '../config/optional-peer.js';
import type { HealthThresholds } from './health-rules.js';
import { ProcessHealth } from './process-health.js';
import {
  HEALTH_INDICATORS,
  HEALTH_THRESHOLDS,
  WebSocketIsolationHealthIndicator,
} from './web-socket-isolation.health.js';

const DEFAULT_THRESHOLDS: HealthThresholds = {
  usage: 0.8,
  eventLoopDelayMs: 200,
  cleanupLagMs: 60_000,
};

const RULES: OptionRules<HealthThresholds> = {
  usage: share,
  eventLoopDelayMs: durationMs,
  cleanupLagMs: durationMs,
};

/**
 * Health checks of the WebSocket side of a process, for use with `@nestjs/terminus`.
 *
 * @example
 * ```ts
 * imports: [TerminusModule, WebSocketIsolationHealthModule.forRoot()]
 * ```
 */
@Module({})
export class WebSocketIsolationHealthModule {
  /**
   * Import it in addition to `WebSocketIsolationModule`, in the module of the health controller.
   *
   * @throws {InvalidOptionsError} naming every threshold that breaks its rule
   */
  static forRoot(thresholds: Partial<HealthThresholds> = {}): DynamicModule {
    assertPlainOptions('WebSocketIsolationHealthModule.forRoot()', thresholds, RULES);
    const given = Object.entries(thresholds).filter(([, value]) => value !== undefined);
    return {
      module: WebSocketIsolationHealthModule,
      providers: [
        {
          provide: HEALTH_THRESHOLDS,
          useValue: { ...DEFAULT_THRESHOLDS, ...Object.fromEntries(given) },
        },
        { provide: HEALTH_INDICATORS, useFactory: makeIndicators },
        ProcessHealth,
        WebSocketIsolationHealthIndicator,
      ],
      exports: [WebSocketIsolationHealthIndicator],
    };
  }
}

async function makeIndicators(): Promise<object> {
  const terminus = await optionalPeer(
    'health',
    '@nestjs/terminus',
    () => import('@nestjs/terminus'),
  );
  const { HealthIndicatorService } = terminus;
  return new HealthIndicatorService();
}
