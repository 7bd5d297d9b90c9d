import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

import type { Clock, Release } from '../time/clock.js';

/** How often Node samples the event loop, in milliseconds. Node counts a sample that is on time as this much delay. */
const RESOLUTION_MS = 20;
/** Length of a window, in milliseconds. A reading covers at least one window and at most two. */
const WINDOW_MS = 10_000;

/** Measures the recent delay of the event loop. */
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

  /** 99th percentile of the delay, in milliseconds; 0 before {@link start}. */
  get p99Ms(): number {
    return Math.max(this.#previousP99Ms, this.#currentP99Ms());
  }

  #currentP99Ms(): number {
    const histogram = this.#histogram;
    if (!histogram || histogram.count === 0) return 0;
    return Math.max(0, histogram.percentile(99) / 1e6 - RESOLUTION_MS);
  }
}
