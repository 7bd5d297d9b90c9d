import { LinkedList } from '../structures/linked-list.js';

/** An arrival that waits for a slot while cleanup tries to make room. */
export interface SlotWaiter {
  /** Takes the slot, so that the manager exists when this returns, or rejects the arrival. */
  admit(): void;
}

/**
 * The slots of one user. The number of held slots is the size of the two lists: there is no separate counter that could
 * drift.
 */
export class Slots<Holder> {
  /** Managers that cleanup may remove, the least recently active first. */
  readonly idle = new LinkedList<Holder>();
  /** Pinned managers: cleanup skips them. */
  readonly pinned = new LinkedList<Holder>();
  /** Waiting arrivals, first come, first served. Empty unless an emergency cleanup is in progress. */
  readonly waiters: SlotWaiter[] = [];

  /**
   * The bucket of users that cleanup checks together with this one; `undefined` while cleanup does not watch the user.
   */
  watchedIn: Set<Slots<Holder>> | undefined = undefined;

  constructor(readonly userId: string) {}

  /** Slots held, including those of closing managers that have not released theirs yet. */
  get held(): number {
    return this.idle.size + this.pinned.size;
  }

  get isUnused(): boolean {
    return this.held === 0 && this.waiters.length === 0;
  }

  /** The managers that hold the slots, the unpinned ones first. */
  managers(): Holder[] {
    const managers: Holder[] = [];
    this.idle.collectInto(managers);
    this.pinned.collectInto(managers);
    return managers;
  }

  [Symbol.iterator](): IterableIterator<Holder> {
    return this.managers().values();
  }
}
