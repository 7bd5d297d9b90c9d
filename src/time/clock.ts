import { AsyncResource } from 'node:async_hooks';
import { performance } from 'node:perf_hooks';

/** Undoes what handed it out. Safe to call twice. */
export type Release = () => void;

/**
 * Where time comes from. The system's clock by default; tests hand in one they can move.
 */
export interface Clock {
  /** Milliseconds that only ever grow: for durations and deadlines. */
  now(): number;
  /** Milliseconds since 1970: for what people read, and for `expiresAt`. */
  epoch(): number;
  /** Calls back once. */
  after(delayMs: number, callback: () => void): Release;
  /** Calls back again and again. */
  every(intervalMs: number, callback: () => void): Release;
}

/** Node's own timers fire at once for anything above this; about 24.8 days. */
export const LONGEST_DELAY_MS = 2_147_483_647;

/**
 * Calls back again and again, however long the interval: one timer, of which every so many ticks counts. It does not
 * keep the process alive.
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

// Timers are made in the async context of the process, not in that of a handler that happens to need one first: it would
// call back in the name of that handler's user for ever, and keep the connection in memory.
const ofProcess = new AsyncResource('websocket-isolation:clock');

/** The wall clock was set, and not only corrected, when it differs by more than this. */
const CLOCK_SET_MS = 1_000;
const offsets = new WeakMap<Clock, number>();

/**
 * When a monotonic instant was, in milliseconds since 1970: the same answer whenever it is asked, as long as nobody sets
 * the wall clock. The two clocks are read one after the other, so their difference is never twice the same.
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
 * The real time. A repeating timer never keeps the process alive; one that somebody waits for does,
 * or a shutdown could end in the middle of its last deadline.
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
