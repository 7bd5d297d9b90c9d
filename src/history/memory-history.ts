import type { Clock, Release } from '../time/clock.js';
import { epochFor, type HistoryKey, keyText, type ThreadKey } from './history-key.js';
import type { Position } from './position.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import type {
  HistoryListener,
  KeptEvents,
  Stretch,
  HistoryEvent,
  EventHistory,
  TotalBounds,
} from './event-history.js';
import { EventLog } from './event-log.js';
import { PositionSeal } from './position-seal.js';

/** The bounds of one history, and those of all histories together. */
export interface MemoryBounds extends TotalBounds {
  /** How many histories are kept that no connection has open. */
  readonly maxHistories: number;
}

/** How often per window expired events are dropped. */
const SWEEPS_PER_WINDOW = 4;
const NOBODY: DeliveryReport = Object.freeze({ sent: 0, queued: 0, dropped: 0 });

/** Histories in the memory of one process. They end with it: a client that resumes later gets a gap. */
export class MemoryHistory<Key extends HistoryKey = ThreadKey> implements EventHistory<Key> {
  readonly seal = new PositionSeal();
  // Both by the text of the key, the least recently used first.
  readonly #open = new Map<string, EventLog>();
  readonly #left = new Map<string, EventLog>();
  #listener: HistoryListener<Key> | undefined;
  #sweeper: Release | undefined;
  #bytes = 0;

  constructor(
    private readonly bounds: MemoryBounds,
    private readonly clock: Clock,
  ) {}

  /** How many histories are kept: those that connections have open, and those that were left within the window. */
  get size(): number {
    return this.#open.size + this.#left.size;
  }

  /** Bytes kept for all histories together. */
  get bytes(): number {
    return this.#bytes;
  }

  useListener(listener: HistoryListener<Key>): void {
    this.#listener = listener;
  }

  open(key: Key): Release {
    const log = this.#logOf(key);
    log.openers += 1;
    this.#use(log);
    let isOpen = true;
    return () => {
      if (!isOpen) return;
      isOpen = false;
      log.openers -= 1;
      // After `dispose()` the log is in neither map and must not get into one.
      if (this.#open.get(log.key) === log) this.#use(log);
      this.#makeRoom();
    };
  }

  append(key: Key, event: HistoryEvent): DeliveryReport | 'unwanted' {
    if (!event.isCritical && !this.#find(keyText(key))) return 'unwanted';
    const log = this.#logOf(key);
    const recorded = this.#counted(log, () => log.append(event, this.clock.now()));
    this.#use(log);
    this.#trim(log);
    this.#makeRoom();
    return this.#listener?.recorded(key, log.epoch, recorded) ?? NOBODY;
  }

  read(key: Key, after: Position | undefined): Stretch {
    const log = this.#logOf(key);
    this.#trim(log);
    const { epoch, head } = log;
    return after ? log.after(after) : { epoch, head, isGap: false, events: [], end: head };
  }

  readCritical(key: Key): Stretch {
    const log = this.#logOf(key);
    this.#trim(log);
    return log.critical();
  }

  kept(key: Key): KeptEvents | undefined {
    const log = this.#find(keyText(key));
    return log && { events: log.size, bytes: log.bytes };
  }

  dispose(): void {
    this.#sweeper?.();
    this.#sweeper = undefined;
    this.#open.clear();
    this.#left.clear();
    this.#bytes = 0;
  }

  #find(key: string): EventLog | undefined {
    return this.#open.get(key) ?? this.#left.get(key);
  }

  #logOf(key: Key): EventLog {
    const text = keyText(key);
    const known = this.#find(text);
    if (known) return known;
    const log = new EventLog(text, epochFor(key, this.seal), this.clock.now());
    this.#left.set(text, log);
    this.#makeRoom();
    const periodMs = Math.ceil(this.bounds.windowMs / SWEEPS_PER_WINDOW);
    this.#sweeper ??= this.clock.every(periodMs, () => this.#sweep());
    return log;
  }

  // Moves the log to the end of the map that it belongs to.
  #use(log: EventLog): void {
    log.usedAt = this.clock.now();
    this.#open.delete(log.key);
    this.#left.delete(log.key);
    (log.openers > 0 ? this.#open : this.#left).set(log.key, log);
  }

  #trim(log: EventLog): void {
    const { maxEvents, maxBytes, windowMs } = this.bounds;
    this.#counted(log, () => {
      while (log.size > maxEvents || log.bytes > maxBytes) log.dropFirst();
      log.dropBefore(this.clock.now() - windowMs);
    });
  }

  // The least recently used first: histories that no connection has open as a whole, then the events of open ones.
  #makeRoom(): void {
    const { maxHistories, maxTotalBytes } = this.bounds;
    for (const log of this.#left.values()) {
      if (this.#left.size <= maxHistories && this.#bytes <= maxTotalBytes) return;
      this.#drop(log);
    }
    for (const log of this.#open.values()) {
      if (this.#bytes <= maxTotalBytes) return;
      this.#counted(log, () => log.empty());
    }
  }

  #sweep(): void {
    const expired = this.clock.now() - this.bounds.windowMs;
    for (const log of this.#left.values()) {
      // The logs that follow were used later.
      if (log.usedAt > expired) break;
      this.#drop(log);
    }
    for (const log of this.#open.values()) {
      if (log.usedAt > expired) break;
      this.#counted(log, () => log.empty());
    }
    if (this.size > 0) return;
    this.#sweeper?.();
    this.#sweeper = undefined;
  }

  #drop(log: EventLog): void {
    this.#bytes -= log.bytes;
    this.#left.delete(log.key);
  }

  #counted<T>(log: EventLog, change: () => T): T {
    const before = log.bytes;
    const result = change();
    this.#bytes += log.bytes - before;
    return result;
  }
}
