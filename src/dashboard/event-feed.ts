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
  /** How many further events of this kind there were in that second that are not listed. */
  readonly left?: number;
  readonly details: Readonly<Record<string, unknown>>;
}

/** A cleanup, and when it ended. */
export interface CleanupRun extends Omit<CleanupReport, 'abandoned'> {
  /** Epoch milliseconds. */
  readonly at: number;
  readonly abandoned: number;
}

/** The events of the feed. Left out are events of single messages, and events that report the same twice. */
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
  'renewal-refused',
  'disconnect-unconfirmed',
  'resume-gap',
  'resume-failed',
  'topic-refused',
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
/** Most items in one response. */
const MAX_READ = 200;
/** Cleanups remembered: 15 minutes of both jobs at their default periods, and some by hand. */
const MAX_RUNS = 150;
/** Items of one kind per second; further ones are only counted. */
const PER_SECOND = 20;

/**
 * The latest events for the page, bounded in number and rate. Subscribes only between {@link listen} and its release.
 */
export class EventFeed {
  readonly #items: FeedItem[] = [];
  readonly #runs: CleanupRun[] = [];
  readonly #windows = new Map<IsolationEventName, SecondWindow>();
  #number = 0;

  constructor(
    private readonly clock: Clock,
    private readonly bus: IsolationEventBus,
  ) {}

  /** Cleanups, oldest first. */
  get runs(): readonly CleanupRun[] {
    return this.#runs;
  }

  /** The number of the latest item; 0 before the first. */
  get latest(): number {
    return this.#number;
  }

  /** Subscribes to the events. Returns the function that unsubscribes. */
  listen(): Release {
    const releases = SHOWN_EVENTS.map((name) =>
      this.bus.on(name, (details) => this.#take(name, details)),
    );
    return () => releases.forEach((release) => release());
  }

  /** The items after a number, oldest first; only the latest 200. */
  after(number: number): FeedItem[] {
    this.#countLeftOut();
    const first = this.#items.findIndex((item) => item.number > number);
    return first === -1 ? [] : this.#items.slice(first).slice(-MAX_READ);
  }

  #take(name: IsolationEventName, details: object): void {
    if (name === 'cleanup-finished') this.#remember(details as CleanupReport);
    // A cleanup that removed nothing is not listed in the feed.
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

// Plain values that a page can show. Of an error only its name: its message is in the log.
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
