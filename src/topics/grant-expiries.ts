import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Clock, Release } from '../time/clock.js';
import { atEpoch } from '../time/wall-clock.js';

/** A membership that ends. */
interface Expiring {
  /** Epoch milliseconds. */
  readonly expiresAtMs: number;
  readonly expired: () => void;
}

/**
 * The memberships that end with their grants, by the wall clock. As with the expiry of an identity, a timer is not
 * enough: it does not notice that the clock was set forward, or that the machine was asleep.
 */
export class GrantExpiries {
  // Only connections with such a membership have an entry.
  readonly #expiring = new Map<WebSocketManager, Set<Expiring>>();

  constructor(private readonly clock: Clock) {}

  /** @returns ends the watch. It has to be called when the membership has ended, too. */
  watch(manager: WebSocketManager, expiresAtMs: number, expired: () => void): Release {
    const expiring: Expiring = { expiresAtMs, expired };
    const all = this.#expiring.get(manager) ?? new Set();
    this.#expiring.set(manager, all.add(expiring));
    const stopTimer = atEpoch(this.clock, expiresAtMs, expired);
    return () => {
      stopTimer();
      all.delete(expiring);
      if (all.size === 0 && this.#expiring.get(manager) === all) this.#expiring.delete(manager);
    };
  }

  /** Ends the memberships of a connection whose time is over. Called before each message, and by the heartbeat. */
  check(manager: WebSocketManager): void {
    if (this.#expiring.size === 0) return;
    for (const { expiresAtMs, expired } of this.#expiring.get(manager) ?? []) {
      if (this.clock.epoch() >= expiresAtMs) expired();
    }
  }
}
