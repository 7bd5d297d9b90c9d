import type { Clock, Release } from './clock.js';

/**
 * A timer that comes later than this was not kept waiting by ordinary work: the process slept. It was frozen, its
 * machine was paused, or something blocked it.
 */
const LATE_MS = 100;

/**
 * Calls back when the sockets have been read once more. A process that was busy or frozen finds its
 * timers due first and what its peers have answered only then: whoever judges a peer by its silence
 * has to listen once more before.
 */
export function afterReading(callback: () => void): Release {
  const immediate = setImmediate(callback);
  return () => clearImmediate(immediate);
}

/**
 * As `clock.after`, for judging another that stayed silent for so long: a peer, Redis, or code of the app that waits
 * for something itself. The time that this process slept is not theirs: they get it back, but never more than `graceMs`,
 * and once only, so that a process that is always late comes to an end too.
 *
 * @param graceMs `silenceMs` if not given
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
 * What a repeating timer does where it judges peers by their silence. The same as {@link afterSilence}: it reads first,
 * and where the timer comes late because the process slept, peers get the time back.
 */
export class SilenceCheck {
  #dueAt: number;
  #release: Release | undefined;

  /**
   * @param intervalMs of the timer
   * @param graceMs the longest that peers get back
   */
  constructor(
    private readonly clock: Clock,
    private readonly intervalMs: number,
    private readonly graceMs: number,
    private readonly judge: () => void,
  ) {
    this.#dueAt = clock.now() + intervalMs;
  }

  /** The timer has come. */
  tick(): void {
    const now = this.clock.now();
    const sleptMs = now - this.#dueAt;
    this.#dueAt = now + this.intervalMs;
    // What is being waited for already is what this tick is for.
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
