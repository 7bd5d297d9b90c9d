import type { Clock } from './clock.js';
import { isThenable } from '../structures/maybe-async.js';
import { TIMED_OUT, withDeadline } from './deadline.js';

/** Reports a step that failed or was abandoned. `pending` is the unsettled promise of an abandoned step. */
export type StepReport = (
  outcome: 'failed' | 'abandoned',
  error?: unknown,
  pending?: Promise<unknown>,
) => void;

/**
 * Runs a step that may hang, throw or reject, for at most `ms`. Never throws: a fault is reported and the caller goes
 * on. Returns a promise only where the step returns one.
 */
export function runBounded(
  clock: Clock,
  ms: number,
  step: () => unknown,
  report: StepReport,
): Promise<void> | undefined {
  try {
    const pending = step();
    return isThenable(pending)
      ? waitBounded(clock, ms, Promise.resolve(pending), report)
      : undefined;
  } catch (error) {
    report('failed', error);
    return undefined;
  }
}

async function waitBounded(
  clock: Clock,
  ms: number,
  pending: Promise<unknown>,
  report: StepReport,
): Promise<void> {
  try {
    if ((await withDeadline(clock, ms, pending)) === TIMED_OUT)
      report('abandoned', undefined, pending);
  } catch (error) {
    report('failed', error);
  }
}
