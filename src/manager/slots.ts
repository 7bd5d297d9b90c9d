import { LinkedList } from '../structures/linked-list.js';

/** An arrival that waits for a slot while cleanup tries to make room. */
export interface SlotWaiter {
  /** Takes the slot, so that the manager exists when this returns, or rejects the arrival. */
  admit(): void;
}

const NONE: readonly SlotWaiter[] = [];

/**
 * The slots of one user. The number of held slots is the size of the two lists: there is no separate counter that could
 * drift.
 */
export class Slots<Holder> {
  /** Managers that cleanup may remove, the least recently active first. */
  readonly idle = new LinkedList<Holder>();
  // Created on first use: few users have pinned managers or arrivals that wait.
  #pinned: LinkedList<Holder> | undefined = undefined;
  #waiters: SlotWaiter[] | undefined = undefined;

  /**
   * The bucket of users that cleanup checks together with this one; `undefined` while cleanup does not watch the user.
   */
  watchedIn: Set<Slots<Holder>> | undefined = undefined;

  constructor(readonly userId: string) {}

  /** Pinned managers: cleanup skips them. */
  get pinned(): LinkedList<Holder> {
    return (this.#pinned ??= new LinkedList());
  }

  /** Waiting arrivals, first come, first served. Empty unless an emergency cleanup is in progress. */
  get waiters(): readonly SlotWaiter[] {
    return this.#waiters ?? NONE;
  }

  /** Slots held, including those of closing managers that have not released theirs yet. */
  get held(): number {
    return this.idle.size + (this.#pinned?.size ?? 0);
  }

  get isUnused(): boolean {
    return this.held === 0 && this.waiters.length === 0;
  }

  /** Adds an arrival to the end of those that wait. */
  queue(waiter: SlotWaiter): void {
    (this.#waiters ??= []).push(waiter);
  }

  /** Takes out the arrival that has waited longest. */
  nextWaiter(): SlotWaiter | undefined {
    return this.#waiters?.shift();
  }

  /** An arrival waits no longer. Returns whether it was still waiting. */
  unqueue(waiter: SlotWaiter): boolean {
    const place = this.waiters.indexOf(waiter);
    if (place !== -1) this.#waiters!.splice(place, 1);
    return place !== -1;
  }

  /** The managers that hold the slots, the unpinned ones first. */
  managers(): Holder[] {
    const managers: Holder[] = [];
    this.idle.collectInto(managers);
    this.#pinned?.collectInto(managers);
    return managers;
  }

  [Symbol.iterator](): IterableIterator<Holder> {
    return this.managers().values();
  }
}
