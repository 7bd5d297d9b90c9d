import type { Clock } from '../time/clock.js';

/** Milliseconds that the clocks may drift apart between two readings. */
const DRIFT_MS = 3;

/** Converts a time of Redis to a monotonic instant of this process: never too early, and only a little too late. */
export class ServerOffset {
  // The monotonic clock of this process minus the clock of Redis is at most this.
  #most: number | undefined;

  constructor(private readonly clock: Clock) {}

  /**
   * Takes a reading.
   *
   * @param serverTime epoch milliseconds that Redis has returned
   * @param askedAt monotonic milliseconds at which Redis was asked; the reply has arrived now
   */
  heard(serverTime: number, askedAt: number): void {
    const most = this.clock.now() - serverTime;
    const least = askedAt - serverTime;
    const remembered = this.#most === undefined ? most : this.#most + DRIFT_MS;
    // A slow reply bounds the offset less tightly than an earlier fast one, but it still bounds it.
    this.#most = Math.max(least, Math.min(most, remembered));
  }

  /** Monotonic milliseconds of a time of Redis; `undefined` before the first reading. */
  monotonic(serverTime: number): number | undefined {
    return this.#most === undefined ? undefined : serverTime + this.#most;
  }
}
