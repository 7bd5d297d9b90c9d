import { SecondWindow } from '../structures/second-window.js';
import type { Clock, Release } from '../time/clock.js';
import type { IsolationEventBus } from '../journal/event-bus.js';
import type { CleanupReport, IsolationEventName } from '../journal/isolation-events.js';

/** One line of the feed. */
export interface FeedItem {
  /** Grows by one with each item. */
  readonly number: number;
  /** Epoch milliseconds. */
  readonly at: number;
  readonly name: IsolationEventName;
  /** How many more of the kind there were in that second, beside those that are listed. */
  readonly left?: number;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A cleanup, with the moment at which it ended. */
export interface CleanupRun extends Omit<CleanupReport, 'abandoned'> {
  readonly at: number;
  readonly abandoned: number;
}

/** The events of the feed: not every message, nor what comes twice. */
export const SHOWN_EVENTS: readonly IsolationEventName[] = [
  'connection-ready',
  'connection-closed',
  'connection-refused',
  'manager-removed',
  'cleanup-finished',
  'thread-mismatch',
  'thread-inconsistent',
  'handler-failed',
  'hook-failed',
  'disposal-fault',
  'slow-consumer',
  'critical-undelivered',
  'isolation-violation',
  'disconnect-unconfirmed',
  'resume-gap',
  'resume-failed',
  'leak-suspected',
  'cluster-joined',
  'cluster-degraded',
  'cluster-recovered',
  'cluster-warning',
  'cluster-left',
  'drain-started',
  'drain-finished',
  'operator-action',
];

const MAX_ITEMS = 500;
/** Items one answer carries. */
const MAX_READ = 200;
/** Fifteen minutes of both jobs at their default periods, and some by hand. */
const MAX_RUNS = 150;
/** Items of one kind per second; what is above is counted. */
const PER_SECOND = 20;

/** The latest events, for the page. Listens only while it is told to; bounded in every direction. */
export class EventFeed {
  readonly #items: FeedItem[] = [];
  readonly #runs: CleanupRun[] = [];
  readonly #windows = new Map<IsolationEventName, SecondWindow>();
  #number = 0;

  constructor(
    private readonly clock: Clock,
    private readonly bus: IsolationEventBus,
  ) {}

  /** Cleanups, the oldest first. */
  get runs(): readonly CleanupRun[] {
    return this.#runs;
  }

  /** Number of the latest item; 0 before the first. */
  get latest(): number {
    return this.#number;
  }

  /** Starts listening. */
  listen(): Release {
    const releases = SHOWN_EVENTS.map((name) =>
      this.bus.on(name, (details) => this.#take(name, details)),
    );
    return () => releases.forEach((release) => release());
  }

  /** The items after one, the oldest first; of very many the latest. */
  after(number: number): FeedItem[] {
    this.#countLeftOut();
    const first = this.#items.findIndex((item) => item.number > number);
    return first === -1 ? [] : this.#items.slice(first).slice(-MAX_READ);
  }

  #take(name: IsolationEventName, details: object): void {
    if (name === 'cleanup-finished') this.#remember(details as CleanupReport);
    // A cleanup that found nothing is no news.
    if (name === 'cleanup-finished' && (details as CleanupReport).removed === 0) return;
    if (this.#admits(name)) this.#push(name, flat(details));
  }

  #remember({ kind, removed, abandoned, durationMs, timedOut }: CleanupReport): void {
    const at = this.clock.epoch();
    this.#runs.push({ at, kind, removed, abandoned: abandoned.length, durationMs, timedOut });
    if (this.#runs.length > MAX_RUNS) this.#runs.shift();
  }

  #admits(name: IsolationEventName): boolean {
    const now = this.clock.now();
    let window = this.#windows.get(name);
    if (!window || window.isOver(now)) {
      if (window) this.#closeWindow(name, window);
      window = new SecondWindow(PER_SECOND, now);
      this.#windows.set(name, window);
    }
    return window.admit();
  }

  #countLeftOut(): void {
    const now = this.clock.now();
    for (const [name, window] of this.#windows) {
      if (window.isOver(now)) this.#closeWindow(name, window);
    }
  }

  #closeWindow(name: IsolationEventName, { leftOut }: SecondWindow): void {
    this.#windows.delete(name);
    if (leftOut > 0) this.#push(name, {}, leftOut);
  }

  #push(name: IsolationEventName, details: FeedItem['details'], left?: number): void {
    this.#number += 1;
    const at = this.clock.epoch();
    const item = { number: this.#number, at, name, details };
    this.#items.push(left === undefined ? item : { ...item, left });
    if (this.#items.length > MAX_ITEMS) this.#items.shift();
  }
}

// What a page can show: plain values, of an error its name only. Its text is the log's.
function flat(details: object): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(details)) {
    if (value instanceof Error) shown[key] = value.name;
    else if (Array.isArray(value)) shown[key] = value.slice(0, 10).map(String);
    else if (typeof value === 'object' && value !== null) Object.assign(shown, flat(value));
    else if (typeof value !== 'function' && typeof value !== 'symbol') shown[key] = value;
  }
  return shown;
}
