import type { Clock } from './clock.js';
import { afterSilence } from './silence.js';

/** What {@link withDeadline} answers when the time was up first. */
export const TIMED_OUT: unique symbol = Symbol('websocket-isolation:timed-out');

/**
 * Waits for a promise, but not longer than `ms`; the time that this process slept does not count, see
 * {@link afterSilence}. The loser is left alone: a rejection that comes after the deadline is swallowed, the timer
 * of a promise that came in time is cleared.
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
