import { SecondWindow } from '../structures/second-window.js';
import type { Clock, Release } from '../time/clock.js';
import type { IsolationEventBus } from '../journal/event-bus.js';
import type { CleanupReport, IsolationEventName } from '../journal/isolation-events.js';
import { type FeedItem, FeedRing } from './feed-ring.js';

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
  'topic-removal-unconfirmed',
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

/** Events whose repetitions are one line, and the details that make two of them the same. */
const FOLDED: Partial<Record<IsolationEventName, readonly string[]>> = {
  'connection-refused': ['reason', 'path', 'userId', 'address'],
  'thread-mismatch': ['userId', 'threadId'],
  'handler-failed': ['userId', 'event', 'error'],
  'hook-failed': ['userId', 'hook'],
  'slow-consumer': ['userId'],
  'isolation-violation': ['userId', 'what'],
  'resume-gap': ['userId', 'threadId'],
  'resume-failed': ['userId', 'threadId'],
  'topic-refused': ['userId', 'topic', 'code'],
  'cluster-warning': ['what'],
};

/** Most items in one response. */
const MAX_READ = 200;
/** Lines of one kind per second; further ones are only counted. */
const PER_SECOND = 20;

/**
 * The latest events for the page. Each kind has its own ring, so that a storm of one kind does not push out the others.
 * Subscribes only between {@link listen} and its release.
 */
export class EventFeed {
  readonly #rings = new Map<IsolationEventName, FeedRing>();
  readonly #windows = new Map<IsolationEventName, SecondWindow>();
  #number = 0;

  constructor(
    private readonly clock: Clock,
    private readonly bus: IsolationEventBus,
  ) {}

  /** The number of the latest change; 0 before the first. */
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

  /** The items that are new or were repeated after a number, in the order of their numbers; only the latest 200. */
  after(number: number): FeedItem[] {
    this.#countLeftOut();
    const items: FeedItem[] = [];
    for (const ring of this.#rings.values()) {
      for (const item of ring.items) if (item.number > number) items.push(item);
    }
    return items.toSorted((a, b) => a.number - b.number).slice(-MAX_READ);
  }

  #take(name: IsolationEventName, details: object): void {
    // A cleanup that removed nothing is not listed in the feed.
    if (name === 'cleanup-finished' && (details as CleanupReport).removed === 0) return;
    const shown = flat(details);
    const subject = FOLDED[name] && subjectOf(shown, FOLDED[name]);
    if (subject !== undefined && this.#ringOf(name).repeat(subject, this.#next())) return;
    if (this.#admits(name)) this.#push(name, { details: shown, subject });
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
    if (leftOut > 0) this.#push(name, { details: {}, left: leftOut });
  }

  #push(
    name: IsolationEventName,
    content: Pick<FeedItem, 'details' | 'left'> & { readonly subject?: string | undefined },
  ): void {
    this.#ringOf(name).push({ name, ...content }, this.#next());
  }

  #next(): { readonly number: number; readonly at: number } {
    this.#number += 1;
    return { number: this.#number, at: this.clock.epoch() };
  }

  #ringOf(name: IsolationEventName): FeedRing {
    let ring = this.#rings.get(name);
    if (!ring) this.#rings.set(name, (ring = new FeedRing()));
    return ring;
  }
}

function subjectOf(shown: FeedItem['details'], names: readonly string[]): string {
  return JSON.stringify(names.map((name) => shown[name] ?? null));
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
