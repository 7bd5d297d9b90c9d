import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';

import { type Release, repeat, systemClock } from '../time/clock.js';
import { SilenceCheck } from '../time/silence.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { CleanupService } from './cleanup.service.js';

/** Name of the job that tidies up after crowded and idle users, in the `SchedulerRegistry`. */
export const PROACTIVE_CLEANUP_JOB = 'websocket-isolation:proactive-cleanup';
/** Name of the job that makes room where a limit is near, in the `SchedulerRegistry`. */
export const EMERGENCY_CLEANUP_JOB = 'websocket-isolation:emergency-cleanup';

/**
 * The two jobs. Their timers are our own, so that they run whatever the app has said about its own
 * (`ScheduleModule.forRoot({ intervals: false })`), and at any period; the app's `SchedulerRegistry` lists them.
 */
@Injectable()
export class CleanupJobs implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #logger = new Logger('WebSocketIsolation');
  readonly #stops: Release[] = [];

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    private readonly cleanup: CleanupService,
    private readonly moduleRef: ModuleRef,
  ) {}

  onApplicationBootstrap(): void {
    const { proactiveIntervalMs, emergencyIntervalMs } = this.options.cleanup;
    this.#start(PROACTIVE_CLEANUP_JOB, proactiveIntervalMs, () => this.cleanup.runProactive());
    this.#start(EMERGENCY_CLEANUP_JOB, emergencyIntervalMs, () => this.cleanup.runEmergency());
  }

  onApplicationShutdown(): void {
    for (const stop of this.#stops.splice(0)) stop();
  }

  #start(name: string, intervalMs: number, job: () => Promise<unknown>): void {
    const run = (): void =>
      void job().catch((error: unknown) => this.#logger.error(`The job ${name} failed.`, error));
    // Who was silent while this process slept, and pings that were answered meanwhile, are no reason to remove anybody.
    const { probeTimeoutMs } = this.options.cleanup;
    const check = new SilenceCheck(systemClock, intervalMs, probeTimeoutMs, run);
    const timer = repeat(intervalMs, () => check.tick());
    this.#stops.push(() => {
      clearInterval(timer);
      check.stop();
    });
    const registry = this.moduleRef.get(SchedulerRegistry, { strict: false });
    if (!registry.doesExist('interval', name)) registry.addInterval(name, timer);
  }
}
