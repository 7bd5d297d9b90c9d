import type { ClusterState } from '../journal/isolation-events.js';

/** The thresholds above which the process is degraded. */
export interface HealthThresholds {
  /** Share of `limits.maxManagers` in use. Default: 0.8. */
  readonly usage: number;
  /** Milliseconds by which the event loop is late, 99th percentile of the last ten seconds or more. Default: 200. */
  readonly eventLoopDelayMs: number;
  /**
   * Milliseconds since the most overdue manager should have been removed. Default: 60,000. At least one and a half times
   * `cleanup.proactiveIntervalMs` counts, which is 120,000 in production: before its turn, no clean-up is late.
   */
  readonly cleanupLagMs: number;
}

/** The values that the rules check. */
export interface HealthReading {
  readonly usage: number;
  readonly eventLoopDelayMs: number;
  readonly cleanupLagMs: number;
  /** `cleanup.proactiveIntervalMs`. */
  readonly cleanupIntervalMs: number;
  readonly leakSuspects: number;
  /** Consecutive sweeps that found `created` different from `active + disposed`. */
  readonly unbalancedSweeps: number;
  /** Whether the latest emergency clean-up missed its deadline. */
  readonly hasEmergencyTimedOut: boolean;
  readonly isDraining: boolean;
  /** `undefined` without a cluster. */
  readonly cluster: ClusterState | undefined;
}

/** The name of a problem. A closed set. */
export type HealthProblem =
  | 'draining'
  | 'cluster-closed'
  | 'ledger-imbalance'
  | 'emergency-timeout'
  | 'cluster-away'
  | 'near-limit'
  | 'event-loop-late'
  | 'cleanup-late'
  | 'leak-suspected';

/** One possible problem, and its severity. */
export interface HealthRule {
  readonly problem: HealthProblem;
  readonly status: 'down' | 'degraded';
  /** Whether the rule counts for readiness only: a restart would not help, or this process has to finish its drain. */
  readonly readinessOnly: boolean;
  readonly applies: (reading: HealthReading, thresholds: HealthThresholds) => boolean;
}

/** A manager waits for up to one interval for its clean-up. */
const INTERVALS_TO_BE_LATE = 1.5;

/** One sweep may read the ledger between two steps of a removal. Two consecutive sweeps cannot hit the same removal. */
const SWEEPS_TO_BE_SURE = 2;

export const HEALTH_RULES: readonly HealthRule[] = [
  {
    problem: 'draining',
    status: 'down',
    readinessOnly: true,
    applies: ({ isDraining }) => isDraining,
  },
  {
    problem: 'cluster-closed',
    status: 'down',
    readinessOnly: true,
    applies: ({ cluster }) => cluster === 'closed',
  },
  {
    problem: 'ledger-imbalance',
    status: 'down',
    readinessOnly: false,
    applies: ({ unbalancedSweeps }) => unbalancedSweeps >= SWEEPS_TO_BE_SURE,
  },
  {
    problem: 'emergency-timeout',
    status: 'down',
    readinessOnly: false,
    applies: ({ hasEmergencyTimedOut }) => hasEmergencyTimedOut,
  },
  {
    problem: 'cluster-away',
    status: 'degraded',
    readinessOnly: true,
    applies: ({ cluster }) => cluster === 'local' || cluster === 'open',
  },
  {
    problem: 'near-limit',
    status: 'degraded',
    readinessOnly: false,
    applies: ({ usage }, thresholds) => usage > thresholds.usage,
  },
  {
    problem: 'event-loop-late',
    status: 'degraded',
    readinessOnly: false,
    applies: ({ eventLoopDelayMs }, thresholds) => eventLoopDelayMs > thresholds.eventLoopDelayMs,
  },
  {
    problem: 'cleanup-late',
    status: 'degraded',
    readinessOnly: false,
    applies: ({ cleanupLagMs, cleanupIntervalMs }, thresholds) =>
      cleanupLagMs > Math.max(thresholds.cleanupLagMs, INTERVALS_TO_BE_LATE * cleanupIntervalMs),
  },
  {
    problem: 'leak-suspected',
    status: 'degraded',
    readinessOnly: false,
    applies: ({ leakSuspects }) => leakSuspects > 0,
  },
];

/** The result of the rules for one reading. */
export interface HealthAssessment {
  readonly status: 'up' | 'degraded' | 'down';
  /** The most severe first. */
  readonly problems: readonly HealthProblem[];
}

export function assess(
  reading: HealthReading,
  thresholds: HealthThresholds,
  { isLiveness }: { isLiveness: boolean },
): HealthAssessment {
  const broken = HEALTH_RULES.filter(
    ({ readinessOnly, applies }) => !(isLiveness && readinessOnly) && applies(reading, thresholds),
  );
  // The rules with status `down` come first in the list.
  return { status: broken[0]?.status ?? 'up', problems: broken.map(({ problem }) => problem) };
}
