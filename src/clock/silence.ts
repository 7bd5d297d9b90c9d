import type { Clock, Release } from './clock.js';

/**
 * Calls back when the sockets have been read once more. A process that was busy or frozen finds its
 * timers due first and what its peers have answered only then: whoever judges a peer by its silence
 * has to listen once more before.
 */
export function afterReading(callback: () => void): Release {
  const immediate = setImmediate(callback);
  return () => clearImmediate(immediate);
}

/** As `clock.after`, for judging a peer that stayed silent for so long: see {@link afterReading}. */
export function afterSilence(clock: Clock, silenceMs: number, callback: () => void): Release {
  let release = clock.after(silenceMs, () => {
    release = afterReading(callback);
  });
  return () => release();
}
