import type { Clock, Release } from '../time/clock.js';
import { encodeKeyPart } from '../context/isolation-key.js';
import { createEpoch, type Position } from './position.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import type {
  HistoryBounds,
  HistoryListener,
  Stretch,
  ThreadEvent,
  ThreadHistory,
  ThreadKey,
} from './thread-history.js';
import { ThreadLog } from './thread-log.js';

/** The bounds of one thread, and those of all threads together. */
export interface MemoryBounds extends HistoryBounds {
  /** How many threads are kept that no connection has open. */
  readonly maxThreads: number;
  readonly maxTotalBytes: number;
}

/** How often per window expired events are dropped. */
const SWEEPS_PER_WINDOW = 4;
const NOBODY: DeliveryReport = Object.freeze({ sent: 0, queued: 0, dropped: 0 });

/** The histories of threads in the memory of one process. They end with it: a client that resumes later gets a gap. */
export class MemoryHistory implements ThreadHistory {
  // Both by the key of the thread, the least recently used first.
  readonly #open = new Map<string, ThreadLog>();
  readonly #left = new Map<string, ThreadLog>();
  #listener: HistoryListener | undefined;
  #sweeper: Release | undefined;
  #bytes = 0;

  constructor(
    private readonly bounds: MemoryBounds,
    private readonly clock: Clock,
  ) {}

  /** How many threads are kept: those that connections have open, and those that were left within the window. */
  get threads(): number {
    return this.#open.size + this.#left.size;
  }

  /** Bytes kept for all threads together. */
  get bytes(): number {
    return this.#bytes;
  }

  useListener(listener: HistoryListener): void {
    this.#listener = listener;
  }

  open(thread: ThreadKey): Release {
    const log = this.#logOf(thread);
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

  append(thread: ThreadKey, event: ThreadEvent): DeliveryReport | 'unwanted' {
    if (!event.isCritical && !this.#find(keyOf(thread))) return 'unwanted';
    const log = this.#logOf(thread);
    const recorded = this.#counted(log, () => log.append(event, this.clock.now()));
    this.#use(log);
    this.#trim(log);
    this.#makeRoom();
    return this.#listener?.recorded(thread, log.epoch, recorded) ?? NOBODY;
  }

  read(thread: ThreadKey, after: Position | undefined): Stretch {
    const log = this.#logOf(thread);
    this.#trim(log);
    const { epoch, head } = log;
    return after ? log.after(after) : { epoch, head, isGap: false, events: [], end: head };
  }

  readCritical(thread: ThreadKey): Stretch {
    const log = this.#logOf(thread);
    this.#trim(log);
    return log.critical();
  }

  dispose(): void {
    this.#sweeper?.();
    this.#sweeper = undefined;
    this.#open.clear();
    this.#left.clear();
    this.#bytes = 0;
  }

  #find(key: string): ThreadLog | undefined {
    return this.#open.get(key) ?? this.#left.get(key);
  }

  #logOf(thread: ThreadKey): ThreadLog {
    const key = keyOf(thread);
    const known = this.#find(key);
    if (known) return known;
    const log = new ThreadLog(key, createEpoch(thread.userId), this.clock.now());
    this.#left.set(key, log);
    this.#makeRoom();
    const periodMs = Math.ceil(this.bounds.windowMs / SWEEPS_PER_WINDOW);
    this.#sweeper ??= this.clock.every(periodMs, () => this.#sweep());
    return log;
  }

  // Moves the log to the end of the map that it belongs to.
  #use(log: ThreadLog): void {
    log.usedAt = this.clock.now();
    this.#open.delete(log.key);
    this.#left.delete(log.key);
    (log.openers > 0 ? this.#open : this.#left).set(log.key, log);
  }

  #trim(log: ThreadLog): void {
    const { maxEvents, maxBytes, windowMs } = this.bounds;
    this.#counted(log, () => {
      while (log.size > maxEvents || log.bytes > maxBytes) log.dropFirst();
      log.dropBefore(this.clock.now() - windowMs);
    });
  }

  // The least recently used first: threads that no connection has open as a whole, then the events of open threads.
  #makeRoom(): void {
    const { maxThreads, maxTotalBytes } = this.bounds;
    for (const log of this.#left.values()) {
      if (this.#left.size <= maxThreads && this.#bytes <= maxTotalBytes) return;
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
    if (this.threads > 0) return;
    this.#sweeper?.();
    this.#sweeper = undefined;
  }

  #drop(log: ThreadLog): void {
    this.#bytes -= log.bytes;
    this.#left.delete(log.key);
  }

  #counted<T>(log: ThreadLog, change: () => T): T {
    const before = log.bytes;
    const result = change();
    this.#bytes += log.bytes - before;
    return result;
  }
}

function keyOf({ userId, threadId }: ThreadKey): string {
  return `${encodeKeyPart(userId)}:${encodeKeyPart(threadId)}`;
}
