import type { Clock, Release } from '../time/clock.js';
import type { IsolationEventBus } from '../journal/event-bus.js';
import type { CleanupReport } from '../journal/isolation-events.js';
import { HISTORY_MS } from './history.js';

/** The cleanups of one kind within one bucket of time. */
export interface CleanupBucket {
  /** Start of the bucket. Epoch milliseconds. */
  readonly from: number;
  readonly kind: CleanupReport['kind'];
  readonly runs: number;
  readonly removed: number;
  readonly abandoned: number;
  /** Runs that did not finish in time. */
  readonly late: number;
  /** The longest run. Milliseconds. */
  readonly longestMs: number;
}

/** Milliseconds of one bucket. Two pixels of the chart at least, and longer than the period of the emergency job. */
export const BUCKET_MS = 30_000;

/**
 * The cleanups of the last 15 minutes, counted in buckets of 30 seconds: bounded in number, however many runs there
 * are. Subscribes only between {@link listen} and its release.
 */
export class CleanupTimeline {
  readonly #buckets = new Map<string, CleanupBucket>();

  constructor(
    private readonly clock: Clock,
    private readonly bus: IsolationEventBus,
  ) {}

  /** Subscribes to the event. Returns the function that unsubscribes. */
  listen(): Release {
    return this.bus.on('cleanup-finished', (report) => this.#take(report));
  }

  /** The buckets, oldest first. */
  read(): CleanupBucket[] {
    this.#dropOld();
    return [...this.#buckets.values()];
  }

  #take({ kind, removed, abandoned, durationMs, timedOut }: CleanupReport): void {
    this.#dropOld();
    const from = Math.floor(this.clock.epoch() / BUCKET_MS) * BUCKET_MS;
    const key = `${from} ${kind}`;
    const before = this.#buckets.get(key) ?? emptyBucket(from, kind);
    this.#buckets.set(key, {
      ...before,
      runs: before.runs + 1,
      removed: before.removed + removed,
      abandoned: before.abandoned + abandoned.length,
      late: before.late + Number(timedOut),
      longestMs: Math.max(before.longestMs, durationMs),
    });
  }

  #dropOld(): void {
    const oldest = this.clock.epoch() - HISTORY_MS - BUCKET_MS;
    for (const [key, { from }] of this.#buckets) if (from < oldest) this.#buckets.delete(key);
  }
}

function emptyBucket(from: number, kind: CleanupReport['kind']): CleanupBucket {
  return { from, kind, runs: 0, removed: 0, abandoned: 0, late: 0, longestMs: 0 };
}
