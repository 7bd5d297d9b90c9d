import type { Clock } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';

/** Redis did not reply in time. */
export class RedisTimeoutError extends Error {
  override readonly name = 'RedisTimeoutError';

  constructor(readonly timeoutMs: number) {
    super(`Redis did not answer within ${timeoutMs} ms`);
  }
}

/**
 * Waits for a reply of Redis, but not longer than `ms`. Time that this process slept does not count, see
 * {@link afterSilence}. A reply or an error that arrives later is ignored.
 *
 * @throws {RedisTimeoutError} at the deadline, or the error of the command
 */
export function answerWithin<T>(clock: Clock, ms: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const release = afterSilence(clock, ms, () => reject(new RedisTimeoutError(ms)));
    answer.then(
      (value) => {
        release();
        resolve(value);
      },
      (error: unknown) => {
        release();
        reject(error instanceof Error ? error : new Error(String(error)));
      },
    );
  });
}
