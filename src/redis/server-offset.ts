import type { Clock } from '../time/clock.js';

/** What clocks may drift apart from one look to the next. */
const DRIFT_MS = 3;

/** Says which monotonic instant of this process a time of Redis was: never too early, and late by little. */
export class ServerOffset {
  // Our monotonic clock minus that of Redis is at most this.
  #most: number | undefined;

  constructor(private readonly clock: Clock) {}

  /**
   * @param serverTime what Redis said
   * @param askedAt monotonic milliseconds when it was asked; it is heard now
   */
  heard(serverTime: number, askedAt: number): void {
    const most = this.clock.now() - serverTime;
    const least = askedAt - serverTime;
    const remembered = this.#most === undefined ? most : this.#most + DRIFT_MS;
    // An answer that took its time says less than an earlier one that did not, but not nothing.
    this.#most = Math.max(least, Math.min(most, remembered));
  }

  /** `undefined` before anything was heard. */
  monotonic(serverTime: number): number | undefined {
    return this.#most === undefined ? undefined : serverTime + this.#most;
  }
}
