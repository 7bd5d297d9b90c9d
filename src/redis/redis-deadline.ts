import type { Clock } from '../clock/clock.js';

/** Redis did not answer in time. */
export class RedisTimeoutError extends Error {
  override readonly name = 'RedisTimeoutError';

  constructor(readonly timeoutMs: number) {
    super(`Redis did not answer within ${timeoutMs} ms`);
  }
}

/**
 * Waits for an answer of Redis, but not longer than `ms`. What comes later is swallowed.
 *
 * @throws {RedisTimeoutError} and whatever the command fails with
 */
export function answerWithin<T>(clock: Clock, ms: number, answer: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const release = clock.after(ms, () => {
      // A process that was frozen or busy itself has not read its mail yet: one more turn to do so.
      setImmediate(() => reject(new RedisTimeoutError(ms)));
    });
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
