import type { Clock } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';

/** Redis did not answer in time. */
export class RedisTimeoutError extends Error {
  override readonly name = 'RedisTimeoutError';

  constructor(readonly timeoutMs: number) {
    super(`Redis did not answer within ${timeoutMs} ms`);
  }
}

/**
 * Waits for an answer of Redis, but not longer than `ms`; that this process slept says nothing about Redis. What
 * comes later is swallowed.
 *
 * @throws {RedisTimeoutError} and whatever the command fails with
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
