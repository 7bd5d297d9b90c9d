import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Clock, Release } from '../time/clock.js';
import { CloseCode } from '../wire/close-codes.js';

type ExpiringManager = Pick<WebSocketManager, 'context' | 'beginClose'>;

/**
 * Closes a connection when its identity expires, by the wall clock. The expiry is also checked before each message,
 * because a timer is not enough: it does not notice that the clock was set, and after a freeze of the process, messages
 * may be read before the timer fires.
 */
export class IdentityExpiry {
  #release: Release;

  /** Returns `undefined` for an identity that does not expire. */
  static of(manager: ExpiringManager, clock: Clock): IdentityExpiry | undefined {
    const { expiresAt } = manager.context;
    return expiresAt && new IdentityExpiry(manager, clock, expiresAt.getTime());
  }

  private constructor(
    private readonly manager: ExpiringManager,
    private readonly clock: Clock,
    private readonly expiresAtMs: number,
  ) {
    this.#release = this.#watch();
  }

  /** Returns whether the identity has expired; if so, closes the connection. */
  check(): boolean {
    if (this.clock.epoch() < this.expiresAtMs) return false;
    void this.manager.beginClose(CloseCode.UNAUTHORIZED, 'identity expired', 'server');
    return true;
  }

  release(): void {
    this.#release();
  }

  #watch(): Release {
    return this.clock.after(this.expiresAtMs - this.clock.epoch(), () => {
      // The wall clock may have been set back meanwhile: then wait again.
      if (!this.check()) this.#release = this.#watch();
    });
  }
}
