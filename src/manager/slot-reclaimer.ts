import type { UserSlots } from './user-slots.js';

/**
 * Makes room among a user's managers. The factory asks; cleanup answers. The interface stands here so
 * that managers need not know cleanup.
 */
export interface SlotReclaimer {
  /** The user is getting crowded: removes what is dead or stale. Resolves when that is done, soon. */
  relieve(slots: UserSlots): Promise<void> | undefined;
  /**
   * The user is at the limit: removes what the rules allow. Slots come free while it runs. Resolves
   * when nothing more can be expected; `undefined` when there is nothing to try.
   */
  rescue(slots: UserSlots): Promise<void> | undefined;
  /** A manager was added: looks at the user again when one of theirs could have become stale. */
  watch(slots: UserSlots): void;
  /** Removes what is dead, never attached or stale, of all users. Resolves to how many. */
  expire(): Promise<number>;
  /** The limits were changed: closes what is above them and not pinned; the rest when its work is done. */
  trim(): void;
}

/** Injection token of the {@link SlotReclaimer}. */
export const SLOT_RECLAIMER: unique symbol = Symbol('websocket-isolation:slot-reclaimer');
