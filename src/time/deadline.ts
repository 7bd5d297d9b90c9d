import type { Clock } from './clock.js';
import { afterSilence } from './silence.js';

/** What {@link withDeadline} resolves to when the deadline passed first. */
export const TIMED_OUT: unique symbol = Symbol('websocket-isolation:timed-out');

/**
 * Waits for a promise for at most `ms`. The time that this process slept does not count, see {@link afterSilence}.
 * A rejection after the deadline is swallowed. The timer is cleared when the promise settles in time.
 */
export function withDeadline<T>(
  clock: Clock,
  ms: number,
  promise: PromiseLike<T>,
): Promise<T | typeof TIMED_OUT> {
  return new Promise((resolve, reject) => {
    const release = afterSilence(clock, ms, () => resolve(TIMED_OUT));
    promise.then(
      (value) => {
        release();
        resolve(value);
      },
      (error: Error) => {
        release();
        reject(error);
      },
    );
  });
}
