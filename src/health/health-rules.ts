import type { ClusterState } from '../journal/isolation-events.js';

/** From where on something is no longer all right. */
export interface HealthThresholds {
  /** Share of `limits.maxManagers` in use. */
  readonly usage: number;
  /** Milliseconds by which the event loop is late, 99th percentile of the last ten seconds or more. */
  readonly eventLoopDelayMs: number;
  /** Milliseconds for which the most overdue manager has been waiting to be removed. */
  readonly cleanupLagMs: number;
}

/** What the rules look at. */
export interface HealthReading {
  readonly usage: number;
  readonly eventLoopDelayMs: number;
  readonly cleanupLagMs: number;
  readonly leakSuspects: number;
  /** Sweeps in a row that found `created` not to be `active + disposed`. */
  readonly unbalancedSweeps: number;
  /** The latest emergency clean-up did not end in time. */
  readonly hasEmergencyTimedOut: boolean;
  readonly isDraining: boolean;
  /** `undefined` without a cluster. */
  readonly cluster: ClusterState | undefined;
}

/** What is wrong. A closed set. */
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

/** One thing that may be wrong, and how bad that is. */
export interface HealthRule {
  readonly problem: HealthProblem;
  readonly status: 'down' | 'degraded';
  /** A new process would not help, or the old one is needed until its end. */
  readonly readinessOnly: boolean;
  readonly applies: (reading: HealthReading, thresholds: HealthThresholds) => boolean;
}

/** A sweep may look between two steps of one removal; two of them cannot. */
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
    applies: ({ cleanupLagMs }, thresholds) => cleanupLagMs > thresholds.cleanupLagMs,
  },
  {
    problem: 'leak-suspected',
    status: 'degraded',
    readinessOnly: false,
    applies: ({ leakSuspects }) => leakSuspects > 0,
  },
];

/** What the rules make of a reading. */
export interface HealthAssessment {
  readonly status: 'up' | 'degraded' | 'down';
  /** The worst first. */
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
  // Those that make it `down` stand first.
  return { status: broken[0]?.status ?? 'up', problems: broken.map(({ problem }) => problem) };
}
