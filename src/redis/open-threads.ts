import type { Position } from '../history/position.js';
import type { ThreadKey } from '../history/thread-history.js';
import type { Clock, Release } from '../time/clock.js';
import { answerWithin } from './redis-deadline.js';
import type { ThreadKeys } from './thread-keys.js';

/** Threads that are touched at once. */
const BATCH = 250;
const LONGEST_TOUCH_MS = 5_000;

/** A thread that a connection of this node has open. */
export interface OpenThread {
  readonly thread: ThreadKey;
  readonly keys: ThreadKeys;
  openers: number;
  /** The latest event that came over the bus. */
  heard: Position | undefined;
  /** Where the thread was the last time it was looked at. */
  seen: Position | undefined;
}

/** What open threads need of their history. */
export interface OpenThreadsOwner {
  readonly clock: Clock;
  readonly windowMs: number;
  readonly commandTimeoutMs: number;
  /** Keeps the thread in Redis for another window; resolves to where it is, `undefined` where Redis has nothing of it. */
  touch(open: OpenThread): Promise<Position | undefined>;
  /** As {@link touch}, and begins the thread anew where something else was written in its place. */
  look(open: OpenThread): Promise<Position | undefined>;
  /** Events of a thread may not have got here. */
  doubtful(thread: ThreadKey): void;
  /** Redis did not do what it was asked. */
  stumbled(error: unknown): void;
}

/**
 * The threads that connections of this node have open. Touches them while they are, so that Redis keeps them, and finds
 * out where an event did not get here.
 */
export class OpenThreads {
  readonly #open = new Map<string, OpenThread>();
  #stopTouching: Release | undefined;

  constructor(private readonly owner: OpenThreadsOwner) {}

  get(hash: string): OpenThread | undefined {
    return this.#open.get(hash);
  }

  get size(): number {
    return this.#open.size;
  }

  /** Opens a thread until what this returns is called. */
  open(thread: ThreadKey, keys: ThreadKeys): Release {
    let open = this.#open.get(keys.hash);
    if (!open) {
      open = { thread, keys, openers: 0, heard: undefined, seen: undefined };
      this.#open.set(keys.hash, open);
      const { clock, windowMs } = this.owner;
      const periodMs = Math.min(LONGEST_TOUCH_MS, Math.ceil(windowMs / 4));
      this.#stopTouching ??= clock.every(periodMs, () => void this.lookAtAll(false));
    }
    open.openers += 1;
    return once(() => this.#leave(open));
  }

  /** Looks where all of them are. @param isDoubtful messages to this node may have been lost just now */
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

  #leave(open: OpenThread): void {
    open.openers -= 1;
    if (open.openers > 0) return;
    this.#open.delete(open.keys.hash);
    // The window begins now. Where this fails, it began when the thread was last touched.
    void this.owner.touch(open).catch((error: unknown) => this.owner.stumbled(error));
    if (this.#open.size > 0) return;
    this.#stopTouching?.();
    this.#stopTouching = undefined;
  }

  // Twice in a row without having heard of it: it did not get here. Once may be a matter of moments.
  async #look(open: OpenThread, isDoubtful: boolean): Promise<void> {
    const now = await this.owner.look(open);
    const { seen, heard, thread } = open;
    const due = isDoubtful ? now : seen;
    // Redis knows nothing of it any more: connections that have it open should hear of the gap before the next event.
    const isLost = now === undefined && heard !== undefined && heard.offset > 0;
    if (isLost || (due && !isAtLeast(heard, due))) {
      open.heard = now;
      this.owner.doubtful(thread);
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
