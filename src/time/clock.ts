import { AsyncResource } from 'node:async_hooks';
import { performance } from 'node:perf_hooks';

/** Undoes the call that returned it, for example stops a timer. Safe to call twice. */
export type Release = () => void;

/**
 * The source of time. Default: the clock of the system. Tests pass a clock that they can move.
 */
export interface Clock {
  /** Monotonic milliseconds, for durations and deadlines. */
  now(): number;
  /** Milliseconds since 1970, for times that people read and for `expiresAt`. */
  epoch(): number;
  /** Calls back once, after a delay. */
  after(delayMs: number, callback: () => void): Release;
  /** Calls back once per interval. */
  every(intervalMs: number, callback: () => void): Release;
}

/** A timer of Node fires at once when its delay is above this; about 24.8 days. */
export const LONGEST_DELAY_MS = 2_147_483_647;

/**
 * Calls back once per interval, however long the interval is. An interval above {@link LONGEST_DELAY_MS} is split into
 * ticks of one timer, and only the last tick calls back. The timer does not keep the process alive.
 */
export function repeat(intervalMs: number, callback: () => void): NodeJS.Timeout {
  const ticks = Math.max(1, Math.ceil(intervalMs / LONGEST_DELAY_MS));
  if (ticks === 1) return setInterval(callback, intervalMs).unref();
  let left = ticks;
  const timer = setInterval(
    () => {
      left -= 1;
      if (left > 0) return;
      left = ticks;
      callback();
    },
    Math.ceil(intervalMs / ticks),
  );
  return timer.unref();
}

// Timers are made in the async context of the process. A timer made in the context of the first handler that needs it
// would call back as that handler's user for ever, and keep the connection in memory.
const ofProcess = new AsyncResource('websocket-isolation:clock');

/** A difference above this means that the wall clock was set, and not only corrected. */
const CLOCK_SET_MS = 1_000;
const offsets = new WeakMap<Clock, number>();

/**
 * A monotonic instant in milliseconds since 1970. Returns the same value for the same instant until the wall clock is
 * set. The two clocks are read one after the other, so their difference varies; the first difference is remembered.
 */
export function epochAt(clock: Clock, monotonicMs: number): number {
  const offset = clock.epoch() - clock.now();
  let known = offsets.get(clock);
  if (known === undefined || Math.abs(offset - known) > CLOCK_SET_MS) {
    known = offset;
    offsets.set(clock, known);
  }
  return Math.round(known + monotonicMs);
}

/** Injection token of the {@link Clock}. */
export const CLOCK: unique symbol = Symbol('websocket-isolation:clock');

/**
 * The real time. A repeating timer never keeps the process alive. A timer of `after()` does, or the process could end
 * before the last deadline of its shutdown has passed.
 */
export const systemClock: Clock = {
  now: () => performance.now(),
  epoch: () => Date.now(),
  after(delayMs, callback) {
    if (delayMs > LONGEST_DELAY_MS) {
      let release: Release = systemClock.after(LONGEST_DELAY_MS, () => {
        release = systemClock.after(delayMs - LONGEST_DELAY_MS, callback);
      });
      return () => release();
    }
    const timer = ofProcess.runInAsyncScope(setTimeout, undefined, callback, Math.max(0, delayMs));
    return () => clearTimeout(timer);
  },
  every(intervalMs, callback) {
    const timer = ofProcess.runInAsyncScope(repeat, undefined, intervalMs, callback);
    return () => clearInterval(timer);
  },
};
