import type { UserSlots } from './user-slots.js';

/**
 * Makes room among a user's managers. The factory calls it, and cleanup implements it. The interface is declared here
 * so that managers need not import cleanup.
 */
export interface SlotReclaimer {
  /**
   * The user is crowded: removes dead and stale connections. Resolves when they have ended, after
   * `cleanup.closeTimeoutMs` at the latest; `undefined` when there are none.
   */
  relieve(slots: UserSlots): Promise<void> | undefined;
  /**
   * The user is at the limit: removes the connections that the rules allow. Slots are released while it runs. Resolves
   * when no more can be expected; `undefined` when there is nothing to remove.
   */
  rescue(slots: UserSlots): Promise<void> | undefined;
  /** A manager was added: schedules a check of a crowded user for when one of its managers could be stale. */
  watch(slots: UserSlots): void;
  /** Removes the managers of all users that were never attached or are stale. Resolves to their number. */
  expire(): Promise<number>;
  /** The limits were changed: closes unpinned managers above them, and pinned ones when their work is done. */
  trim(): void;
}

/** Injection token of the {@link SlotReclaimer}. */
export const SLOT_RECLAIMER: unique symbol = Symbol('websocket-isolation:slot-reclaimer');
