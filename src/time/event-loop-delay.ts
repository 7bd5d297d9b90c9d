import { type IntervalHistogram, monitorEventLoopDelay } from 'node:perf_hooks';

import type { Clock, Release } from './clock.js';

/** What is measured. */
export interface DelayWindow {
  /** How often Node samples the event loop, in milliseconds. Node counts a sample that is on time as this much delay. */
  readonly resolutionMs: number;
  /** Length of a window, in milliseconds. A reading covers at least one window and at most two. */
  readonly windowMs: number;
  /** Which percentile of the samples is read. */
  readonly percentile: number;
}

/** Measures the recent delay of the event loop. */
export class EventLoopDelay {
  #histogram: IntervalHistogram | undefined;
  #previousMs = 0;

  constructor(
    private readonly clock: Clock,
    private readonly window: DelayWindow,
  ) {}

  start(): Release {
    const { resolutionMs, windowMs } = this.window;
    const histogram = monitorEventLoopDelay({ resolution: resolutionMs });
    histogram.enable();
    this.#histogram = histogram;
    const stopTimer = this.clock.every(windowMs, () => {
      this.#previousMs = this.#currentMs();
      histogram.reset();
    });
    return () => {
      stopTimer();
      histogram.disable();
      this.#histogram = undefined;
      this.#previousMs = 0;
    };
  }

  /** The percentile of the delay, in milliseconds; 0 before {@link start}. */
  get ms(): number {
    return Math.max(this.#previousMs, this.#currentMs());
  }

  #currentMs(): number {
    const histogram = this.#histogram;
    if (!histogram || histogram.count === 0) return 0;
    const { percentile, resolutionMs } = this.window;
    return Math.max(0, histogram.percentile(percentile) / 1e6 - resolutionMs);
  }
}
