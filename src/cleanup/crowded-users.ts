import type { UserSlots } from '../manager/user-slots.js';

/**
 * Crowded users, by the time at which one of their managers could be stale. Time is divided into buckets, so that the
 * cost of adding a user and of taking the due users does not grow with the number of watched users.
 */
export class CrowdedUsers {
  readonly #buckets = new Map<number, Set<UserSlots>>();

  /** @param granularityMs the longest delay, in milliseconds, with which a due user is taken */
  constructor(private readonly granularityMs: number) {}

  /** Watches a user until `dueAt`. A user that is watched already stays in its bucket. */
  watch(slots: UserSlots, dueAt: number): void {
    if (slots.watchedIn) return;
    const bucket = Math.ceil(dueAt / this.granularityMs);
    let users = this.#buckets.get(bucket);
    if (!users) this.#buckets.set(bucket, (users = new Set()));
    users.add(slots);
    slots.watchedIn = users;
  }

  /** All watched users. */
  *users(): Generator<UserSlots, void, undefined> {
    for (const users of this.#buckets.values()) yield* users;
  }

  /** Removes and returns all users that are due. */
  takeDue(now: number): UserSlots[] {
    const current = Math.floor(now / this.granularityMs);
    const due: UserSlots[] = [];
    for (const [bucket, users] of this.#buckets) {
      if (bucket > current) continue;
      this.#buckets.delete(bucket);
      for (const slots of users) {
        slots.watchedIn = undefined;
        due.push(slots);
      }
    }
    return due;
  }
}
