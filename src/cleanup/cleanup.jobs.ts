import { Interval } from '@nestjs/schedule';

import { afterReading } from '../clock/silence.js';
import type { CleanupOptions } from '../config/option-groups.js';
import type { CleanupReport } from '../journal/isolation-events.js';
import type { CleanupService } from './cleanup.service.js';

/** Name of the job that tidies up after crowded and idle users, in the `SchedulerRegistry`. */
export const PROACTIVE_CLEANUP_JOB = 'websocket-isolation:proactive-cleanup';
/** Name of the job that makes room where a limit is near, in the `SchedulerRegistry`. */
export const EMERGENCY_CLEANUP_JOB = 'websocket-isolation:emergency-cleanup';

/** The two jobs, as `@nestjs/schedule` finds them. */
export interface CleanupJobs {
  proactive(): Promise<CleanupReport>;
  emergency(): Promise<CleanupReport>;
}

/**
 * Makes the jobs. The class is made here because the period of an `@Interval` stands in its decorator,
 * and ours comes from the options.
 */
export function createCleanupJobs(cleanup: CleanupService, options: CleanupOptions): CleanupJobs {
  class IntervalJobs implements CleanupJobs {
    @Interval(PROACTIVE_CLEANUP_JOB, options.proactiveIntervalMs)
    proactive(): Promise<CleanupReport> {
      return cleanup.runProactive();
    }

    @Interval(EMERGENCY_CLEANUP_JOB, options.emergencyIntervalMs)
    async emergency(): Promise<CleanupReport> {
      // It counts unanswered pings: those that were answered while the process was busy come first.
      await new Promise<void>((resolve) => afterReading(resolve));
      return cleanup.runEmergency();
    }
  }
  return new IntervalJobs();
}
