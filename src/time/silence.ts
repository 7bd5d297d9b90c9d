import type { Clock, Release } from './clock.js';

/**
 * A timer that is later than this was not delayed by ordinary work: the process slept. It was frozen, its machine was
 * paused, or something blocked the event loop.
 */
const LATE_MS = 100;

/**
 * Calls back when the sockets have been read once more. After a process was busy or frozen, its timers fire before the
 * answers of its peers are read. Code that judges a peer by its silence has to read once more first.
 */
export function afterReading(callback: () => void): Release {
  const immediate = setImmediate(callback);
  return () => clearImmediate(immediate);
}

/**
 * As `clock.after`, for a deadline of another party: a peer, Redis, or code of the app that waits for something itself.
 * The time that this process slept does not count as silence of that party: the deadline is extended by it. It is
 * extended by at most `graceMs` and only once, so that a process that is always late reaches the deadline too.
 *
 * @param graceMs the longest extension. Default: `silenceMs`
 */
export function afterSilence(
  clock: Clock,
  silenceMs: number,
  callback: () => void,
  graceMs: number = silenceMs,
): Release {
  const dueAt = clock.now() + silenceMs;
  const read = (): void => {
    release = afterReading(callback);
  };
  let release = clock.after(silenceMs, () => {
    const sleptMs = clock.now() - dueAt;
    if (sleptMs > LATE_MS) release = clock.after(Math.min(graceMs, sleptMs), read);
    else read();
  });
  return () => release();
}

/**
 * {@link afterSilence} for a repeating timer that judges peers by their silence. The sockets are read before `judge`
 * runs. Where a tick is late because the process slept, `judge` runs later by the time slept.
 */
export class SilenceCheck {
  #dueAt: number;
  #release: Release | undefined;

  /**
   * @param intervalMs the interval of the timer
   * @param graceMs the longest time by which `judge` is put off
   */
  constructor(
    private readonly clock: Clock,
    private readonly intervalMs: number,
    private readonly graceMs: number,
    private readonly judge: () => void,
  ) {
    this.#dueAt = clock.now() + intervalMs;
  }

  /** Call it whenever the timer fires. */
  tick(): void {
    const now = this.clock.now();
    const sleptMs = now - this.#dueAt;
    this.#dueAt = now + this.intervalMs;
    // A check that is under way covers this tick too.
    if (this.#release) return;
    if (sleptMs <= LATE_MS) return this.#read();
    this.#release = this.clock.after(Math.min(this.graceMs, sleptMs), () => this.#read());
  }

  stop(): void {
    this.#release?.();
    this.#release = undefined;
  }

  #read(): void {
    this.#release = afterReading(() => {
      this.#release = undefined;
      this.judge();
    });
  }
}
