import type { Criterion } from './criteria.js';
import type { History } from './server/timeline.js';

/** What became of one check. */
export interface CheckResult {
  readonly name: string;
  readonly title: string;
  readonly setUp: string;
  readonly criteria: readonly Criterion[];
  readonly holds: boolean;
  readonly durationMs: number;
  /** `null` where the server did not live to tell. */
  readonly history: History | null;
}

/** All checks, once. */
export interface Run {
  readonly startedAt: string;
  readonly durationMs: number;
  readonly seed: number;
  readonly groups: readonly { readonly title: string; readonly checks: readonly CheckResult[] }[];
}
