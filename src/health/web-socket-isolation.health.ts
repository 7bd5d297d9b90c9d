import { Inject, Injectable } from '@nestjs/common';
import type { HealthIndicatorResult, HealthIndicatorService } from '@nestjs/terminus';

import { assess, type HealthThresholds } from './health-rules.js';
import { ProcessHealth } from './process-health.js';

/** Injection token of the {@link HealthThresholds}. */
export const HEALTH_THRESHOLDS: unique symbol = Symbol('websocket-isolation:health-thresholds');

/** Injection token of terminus' `HealthIndicatorService`. */
export const HEALTH_INDICATORS: unique symbol = Symbol('websocket-isolation:health-indicators');

const DEFAULT_KEY = 'websocket-isolation';

/**
 * Health of the WebSocket side of this process, for the health checks of `@nestjs/terminus`.
 *
 * @example
 * ```ts
 * @Get('ready')
 * @HealthCheck()
 * ready() {
 *   return this.health.check([() => this.webSockets.isReady()]);
 * }
 * ```
 */
@Injectable()
export class WebSocketIsolationHealthIndicator {
  /** @internal */
  constructor(
    @Inject(HEALTH_THRESHOLDS) private readonly thresholds: HealthThresholds,
    private readonly process: ProcessHealth,
    @Inject(HEALTH_INDICATORS) private readonly indicators: HealthIndicatorService,
  ) {}

  /** Readiness: whether this process should get new connections. `down` from the start of a drain. */
  isReady<const Key extends string = typeof DEFAULT_KEY>(
    key: Key = DEFAULT_KEY as Key,
  ): HealthIndicatorResult<Key> {
    return this.#check(key, { isLiveness: false });
  }

  /** Liveness: whether this process can go on without a restart. Does not depend on the cluster or on a drain. */
  isAlive<const Key extends string = typeof DEFAULT_KEY>(
    key: Key = DEFAULT_KEY as Key,
  ): HealthIndicatorResult<Key> {
    return this.#check(key, { isLiveness: true });
  }

  #check<Key extends string>(key: Key, kind: { isLiveness: boolean }): HealthIndicatorResult<Key> {
    const reading = this.process.read();
    const { status, problems } = assess(reading, this.thresholds, kind);
    const { usage, eventLoopDelayMs, cleanupLagMs, leakSuspects, cluster } = reading;
    const details = { problems, usage, eventLoopDelayMs, cleanupLagMs, leakSuspects, cluster };
    const indicator = this.indicators.check(key);
    if (status === 'down') return indicator.down(details);
    return status === 'degraded' ? indicator.degraded(details) : indicator.up(details);
  }
}
