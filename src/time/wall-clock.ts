import type { Clock, Release } from './clock.js';

/**
 * Calls back once when the wall clock shows a time, at the earliest. Where it was set back meanwhile, waits on. The timer
 * does not notice that the wall clock was set forward, or that the machine was asleep: code that needs that looks at the
 * clock itself from time to time.
 *
 * @param epochMs milliseconds since 1970
 */
export function atEpoch(clock: Clock, epochMs: number, callback: () => void): Release {
  const wait = (): Release =>
    clock.after(Math.max(0, epochMs - clock.epoch()), () => {
      if (clock.epoch() < epochMs) release = wait();
      else callback();
    });
  let release = wait();
  return () => release();
}
