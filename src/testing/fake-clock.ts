import { setImmediate as nextTurn } from 'node:timers/promises';

import type { Clock, Release } from '../time/clock.js';

interface FakeTimer {
  dueAt: number;
  readonly order: number;
  readonly everyMs: number | undefined;
  readonly callback: () => void;
}

/**
 * A clock that only a test moves. Pass it to the module with `forRoot({ clock })`.
 *
 * @example
 * ```ts
 * const clock = new FakeClock();
 * await clock.advance(600_000); // ten minutes; fires all timers that are due in them
 * ```
 */
export class FakeClock implements Clock {
  readonly #timers = new Set<FakeTimer>();
  #now = 1;
  #order = 0;

  /** @param startEpoch epoch milliseconds at the start */
  constructor(private readonly startEpoch: number = Date.UTC(2030, 0, 1)) {}

  now(): number {
    return this.#now;
  }

  epoch(): number {
    return this.startEpoch + this.#now;
  }

  after(delayMs: number, callback: () => void): Release {
    return this.#add(delayMs, undefined, callback);
  }

  every(intervalMs: number, callback: () => void): Release {
    return this.#add(intervalMs, intervalMs, callback);
  }

  /** Timers that were set and neither fired nor released. Repeating timers count until they are released. */
  get pendingTimers(): number {
    return this.#timers.size;
  }

  /**
   * Moves time forward and fires the timers that are due, in order. Between two timers, pending promises may settle.
   */
  async advance(ms: number): Promise<void> {
    assertForward('advance', ms);
    // Code that was started just before may still have to set its timers.
    await this.settle();
    const until = this.#now + ms;
    for (let timer = this.#next(until); timer; timer = this.#next(until)) {
      this.#now = Math.max(this.#now, timer.dueAt);
      this.#fire(timer);
      await this.settle();
    }
    this.#now = until;
    await this.settle();
  }

  /** Moves time forward without firing any timer, as in a process that was frozen. */
  jump(ms: number): void {
    assertForward('jump', ms);
    this.#now += ms;
  }

  /** Waits one turn of the event loop, so that ready promises and socket events are handled. */
  async settle(): Promise<void> {
    await nextTurn();
  }

  #add(delayMs: number, everyMs: number | undefined, callback: () => void): Release {
    this.#order += 1;
    const dueAt = this.#now + Math.max(0, delayMs);
    const timer: FakeTimer = { dueAt, order: this.#order, everyMs, callback };
    this.#timers.add(timer);
    return () => void this.#timers.delete(timer);
  }

  #next(until: number): FakeTimer | undefined {
    let next: FakeTimer | undefined;
    for (const timer of this.#timers) {
      if (timer.dueAt > until) continue;
      if (
        !next ||
        timer.dueAt < next.dueAt ||
        (timer.dueAt === next.dueAt && timer.order < next.order)
      ) {
        next = timer;
      }
    }
    return next;
  }

  #fire(timer: FakeTimer): void {
    if (timer.everyMs === undefined) this.#timers.delete(timer);
    else timer.dueAt = this.#now + timer.everyMs;
    timer.callback();
  }
}

function assertForward(method: string, ms: number): void {
  if (Number.isFinite(ms) && ms >= 0) return;
  throw new RangeError(
    `FakeClock.${method}() takes milliseconds from 0 up, and got ${String(ms)}: time only moves forward.`,
  );
}
