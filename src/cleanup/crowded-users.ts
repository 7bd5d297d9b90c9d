import type { UserSlots } from '../manager/user-slots.js';

/**
 * Crowded users, by when one of their managers could be stale. Time is divided into buckets: adding a
 * user and taking those that are due cost the same however many users wait.
 */
export class CrowdedUsers {
  readonly #buckets = new Map<number, Set<UserSlots>>();

  /** @param granularityMs how late, at most, a user is due */
  constructor(private readonly granularityMs: number) {}

  /** Watches a user until `dueAt`; a user that is watched already stays where it is. */
  watch(slots: UserSlots, dueAt: number): void {
    if (slots.watchedIn) return;
    const bucket = Math.ceil(dueAt / this.granularityMs);
    let users = this.#buckets.get(bucket);
    if (!users) this.#buckets.set(bucket, (users = new Set()));
    users.add(slots);
    slots.watchedIn = users;
  }

  /** Everybody who is watched. */
  *users(): Generator<UserSlots, void, undefined> {
    for (const users of this.#buckets.values()) yield* users;
  }

  /** Takes out everybody who is due. */
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
