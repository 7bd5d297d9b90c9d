import type { Clock } from '../clock/clock.js';
import { TIMED_OUT, withDeadline } from '../clock/deadline.js';

/** How one step of a disposal ended. */
export type StepOutcome = 'done' | 'failed' | 'abandoned';

/**
 * Runs something that may hang, throw or reject, for at most `ms`. Never throws: what went wrong is
 * reported and the caller goes on.
 */
export async function runBounded(
  clock: Clock,
  ms: number,
  step: () => unknown,
  report: (outcome: 'failed' | 'abandoned', error?: unknown) => void,
): Promise<StepOutcome> {
  try {
    const pending = step();
    if (!isThenable(pending)) return 'done';
    if ((await withDeadline(clock, ms, pending)) !== TIMED_OUT) return 'done';
    report('abandoned');
    return 'abandoned';
  } catch (error) {
    report('failed', error);
    return 'failed';
  }
}

export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}
