import type { Clock } from '../time/clock.js';
import type { CleanupOptions } from '../config/option-groups.js';
import type { RemovalCause } from '../journal/isolation-events.js';
import { SOCKET_CLOSED } from '../wire/managed-socket.js';
import type { UserSlots } from '../manager/user-slots.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Victims } from './victims.js';

/** Managers without a pin, the least recently active first. */
type ByActivity = Iterable<WebSocketManager>;

/**
 * Which managers are removed, and in which order. The lists separate pinned managers and are in the order of activity,
 * so a rule visits only the managers that it takes and one more.
 */
export class VictimRules {
  constructor(
    private readonly options: CleanupOptions,
    private readonly clock: Clock,
  ) {}

  /** Of one user: takes managers whose socket has closed, that never got one, or that are stale. */
  takeDeadAndStale(slots: UserSlots, victims: Victims): void {
    for (const manager of slots.idle) {
      if (manager.socket?.readyState === SOCKET_CLOSED) victims.take(manager, 'closed');
    }
    this.takeUnattached(slots.idle, victims);
    this.takeStale(slots.idle, victims);
  }

  /** Takes managers that got no socket within `cleanup.unattachedAfterMs`. */
  takeUnattached(list: ByActivity, victims: Victims): void {
    const madeBefore = this.clock.now() - this.options.unattachedAfterMs;
    for (const manager of list) {
      if (manager.lastActivityAt > madeBefore) return;
      if (manager.attachedTimes === 0) victims.take(manager, 'unattached');
    }
  }

  takeStale(list: ByActivity, victims: Victims): void {
    this.takeSilent(list, this.options.staleAfterMs, 'stale', victims);
  }

  /** Takes managers that have a socket and had no traffic for `forMs`. */
  takeSilent(list: ByActivity, forMs: number, cause: RemovalCause, victims: Victims): void {
    for (const manager of this.#silent(list, forMs)) victims.take(manager, cause);
  }

  hasStale(list: ByActivity): boolean {
    return !this.#silent(list, this.options.staleAfterMs).next().done;
  }

  /** Takes the first `count` active managers of the list. */
  takeLeastActive(list: ByActivity, count: number, cause: RemovalCause, victims: Victims): void {
    let left = count;
    for (const manager of list) {
      if (left <= 0) return;
      if (!manager.isActive) continue;
      victims.take(manager, cause);
      left -= 1;
    }
  }

  // The list is in the order of activity. Some of the old managers may be closing already.
  *#silent(list: ByActivity, forMs: number): Generator<WebSocketManager, void, undefined> {
    const silentSince = this.clock.now() - forMs;
    for (const manager of list) {
      if (manager.lastActivityAt > silentSince) return;
      if (manager.isActive && manager.socket) yield manager;
    }
  }
}
