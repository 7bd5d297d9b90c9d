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

/** Name of the job that removes stale, idle and never attached connections, in the `SchedulerRegistry`. */
export const PROACTIVE_CLEANUP_JOB = 'websocket-isolation:proactive-cleanup';
/** Name of the job that makes room where a limit is near, in the `SchedulerRegistry`. */
export const EMERGENCY_CLEANUP_JOB = 'websocket-isolation:emergency-cleanup';

/**
 * The two cleanup jobs. They use timers of this library, so that they run at any interval and regardless of the app's
 * scheduler options (`ScheduleModule.forRoot({ intervals: false })`). The app's `SchedulerRegistry` lists them.
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
    // While this process sleeps, it receives nothing from its peers. So a late run first reads the sockets, and gives
    // the peers up to `probeTimeoutMs` of that time back.
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
