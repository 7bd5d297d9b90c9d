import type { Position } from '../history/position.js';
import type { HistoryKey } from '../history/history-key.js';
import type { Clock, Release } from '../time/clock.js';
import { answerWithin } from './redis-deadline.js';
import type { HistoryKeys } from './history-keys.js';

/** Histories that are touched at the same time. */
const BATCH = 250;
const LONGEST_TOUCH_MS = 5_000;

/** A history that connections of this node have open. */
export interface OpenHistory<Key extends HistoryKey> {
  readonly key: Key;
  readonly keys: HistoryKeys;
  openers: number;
  /** The position of the latest event that arrived over the bus or was read. */
  heard: Position | undefined;
  /** The position in Redis at the last look. */
  seen: Position | undefined;
}

/** What open histories need. */
export interface OpenHistoriesOwner<Key extends HistoryKey> {
  readonly clock: Clock;
  readonly windowMs: number;
  readonly commandTimeoutMs: number;
  /** Keeps the history in Redis. Resolves to its position, `undefined` if Redis does not have it. */
  touch(open: OpenHistory<Key>): Promise<Position | undefined>;
  /** As {@link touch}, and begins the history anew if another program has written under its key. */
  look(open: OpenHistory<Key>): Promise<Position | undefined>;
  /** Events may not have reached this node. */
  doubtful(key: Key): void;
  /** A command to Redis failed. */
  stumbled(error: unknown): void;
}

/**
 * The histories that connections of this node have open. Touches them periodically, so that Redis keeps them, and detects
 * events that did not reach this node.
 */
export class OpenHistories<Key extends HistoryKey> {
  readonly #open = new Map<string, OpenHistory<Key>>();
  #stopTouching: Release | undefined;

  constructor(private readonly owner: OpenHistoriesOwner<Key>) {}

  get(hash: string): OpenHistory<Key> | undefined {
    return this.#open.get(hash);
  }

  get size(): number {
    return this.#open.size;
  }

  /** Opens a history. It stays open until the returned function is called. */
  open(key: Key, keys: HistoryKeys): Release {
    let open = this.#open.get(keys.hash);
    if (!open) {
      open = { key, keys, openers: 0, heard: undefined, seen: undefined };
      this.#open.set(keys.hash, open);
      const { clock, windowMs } = this.owner;
      const periodMs = Math.min(LONGEST_TOUCH_MS, Math.ceil(windowMs / 4));
      this.#stopTouching ??= clock.every(periodMs, () => void this.lookAtAll(false));
    }
    open.openers += 1;
    return once(() => this.#leave(open));
  }

  /** Compares all open histories with Redis. @param isDoubtful messages to this node may have been lost just now */
  async lookAtAll(isDoubtful: boolean): Promise<void> {
    const { clock, commandTimeoutMs } = this.owner;
    const open = [...this.#open.values()];
    try {
      for (let start = 0; start < open.length; start += BATCH) {
        const batch = open.slice(start, start + BATCH);
        const looked = Promise.all(batch.map((each) => this.#look(each, isDoubtful)));
        await answerWithin(clock, commandTimeoutMs, looked);
      }
    } catch (error) {
      this.owner.stumbled(error);
    }
  }

  dispose(): void {
    this.#stopTouching?.();
    this.#stopTouching = undefined;
    this.#open.clear();
  }

  #leave(open: OpenHistory<Key>): void {
    open.openers -= 1;
    if (open.openers > 0) return;
    this.#open.delete(open.keys.hash);
    // The window begins now. If this fails, it began with the last touch.
    void this.owner.touch(open).catch((error: unknown) => this.owner.stumbled(error));
    if (this.#open.size > 0) return;
    this.#stopTouching?.();
    this.#stopTouching = undefined;
  }

  // An event that Redis already had at the previous look and that has not arrived by now is lost. One look is not
  // enough: the event may still be on its way. It is enough where messages may have been lost just now.
  async #look(open: OpenHistory<Key>, isDoubtful: boolean): Promise<void> {
    const now = await this.owner.look(open);
    const { seen, heard, key } = open;
    const due = isDoubtful ? now : seen;
    // Redis has lost the history: connections that have it open should get the gap before the next event.
    const isLost = now === undefined && heard !== undefined && heard.offset > 0;
    if (isLost || (due && !isAtLeast(heard, due))) {
      open.heard = now;
      this.owner.doubtful(key);
    }
    open.seen = now;
    open.heard ??= now;
  }
}

function isAtLeast(heard: Position | undefined, seen: Position): boolean {
  return heard !== undefined && heard.epoch === seen.epoch && heard.offset >= seen.offset;
}

function once(act: () => void): Release {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    act();
  };
}
