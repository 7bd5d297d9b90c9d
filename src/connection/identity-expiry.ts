import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Clock, Release } from '../time/clock.js';
import { CloseCode } from '../wire/close-codes.js';

type ExpiringManager = Pick<WebSocketManager, 'context' | 'beginClose'>;

/**
 * The end of an identity that expires. It goes by the wall clock and is looked at before each message as well: a process
 * that was frozen finds its timers due after what has come in meanwhile, and a timer does not know that the clock was set.
 */
export class IdentityExpiry {
  #release: Release;

  /** `undefined` for an identity that does not expire. */
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

  /** Whether the identity has expired; then the connection is closed. */
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
      // The wall clock may have been set back meanwhile.
      if (!this.check()) this.#release = this.#watch();
    });
  }
}
