import type { Criterion } from './criteria.js';
import type { History } from './server/timeline.js';

/** The result of a check. */
export interface CheckResult {
  readonly name: string;
  readonly title: string;
  readonly setUp: string;
  readonly criteria: readonly Criterion[];
  readonly holds: boolean;
  readonly durationMs: number;
  /** `null` if the server ended before it returned its history. */
  readonly history: History | null;
}

/** A run of all checks. */
export interface Run {
  readonly startedAt: string;
  readonly durationMs: number;
  readonly seed: number;
  readonly groups: readonly { readonly title: string; readonly checks: readonly CheckResult[] }[];
}
