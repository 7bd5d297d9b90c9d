import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

import type { Clock, Release } from '../time/clock.js';

/** How often Node looks, in milliseconds. A look that comes on time counts as this much delay. */
const RESOLUTION_MS = 20;
/** What is looked back on: at least one of these, at most two. */
const WINDOW_MS = 10_000;

/** How late the event loop is, of late. */
export class EventLoopDelay {
  #histogram: IntervalHistogram | undefined;
  #previousP99Ms = 0;

  constructor(private readonly clock: Clock) {}

  start(): Release {
    const histogram = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    histogram.enable();
    this.#histogram = histogram;
    const stopTimer = this.clock.every(WINDOW_MS, () => {
      this.#previousP99Ms = this.#currentP99Ms();
      histogram.reset();
    });
    return () => {
      stopTimer();
      histogram.disable();
      this.#histogram = undefined;
    };
  }

  /** 99 of 100 turns came no later than this, in milliseconds; 0 while nobody looks. */
  get p99Ms(): number {
    return Math.max(this.#previousP99Ms, this.#currentP99Ms());
  }

  #currentP99Ms(): number {
    const histogram = this.#histogram;
    if (!histogram || histogram.count === 0) return 0;
    return Math.max(0, histogram.percentile(99) / 1e6 - RESOLUTION_MS);
  }
}
