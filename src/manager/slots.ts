import { LinkedList } from '../structures/linked-list.js';

/** Somebody who waits for a slot while cleanup tries to make room. */
export interface SlotWaiter {
  /** Takes the slot, so that the manager exists when this returns; or gives the arrival up. */
  admit(): void;
}

/**
 * The slots of one user. What is held is what is in the two lists: there is no number beside them
 * that could be wrong.
 */
export class Slots<Holder> {
  /** What cleanup may look at, the least recently active first. */
  readonly idle = new LinkedList<Holder>();
  /** Pinned managers: never looked at. */
  readonly pinned = new LinkedList<Holder>();
  /** First come, first served. Empty unless an emergency cleanup is under way. */
  readonly waiters: SlotWaiter[] = [];

  /** The set of users that cleanup looks at together with this one, next time. */
  watchedIn: Set<Slots<Holder>> | undefined = undefined;

  constructor(readonly userId: string) {}

  /** Slots taken, also by managers that are closing and have not given theirs back yet. */
  get held(): number {
    return this.idle.size + this.pinned.size;
  }

  get isUnused(): boolean {
    return this.held === 0 && this.waiters.length === 0;
  }

  /** Who holds them: those that cleanup may look at first. */
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
