import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Clock, Release } from '../time/clock.js';
import { atEpoch } from '../time/wall-clock.js';
import { CloseCode } from '../wire/close-codes.js';

type ExpiringManager = Pick<WebSocketManager, 'expiresAt' | 'beginClose' | 'send'>;

/**
 * Closes a connection when its identity expires, by the wall clock, and tells the client some time before. One timer
 * does both, one after the other. The expiry is also checked before each message, because a timer is not enough: it
 * does not notice that the clock was set, and after a freeze of the process, messages may be read before the timer
 * fires.
 */
export class IdentityExpiry {
  #release: Release;
  // `undefined` once the client knows, and where it is not told.
  #noticeAtMs: number | undefined;

  /**
   * Returns `undefined` for an identity that does not expire.
   *
   * @param noticeMs how long before the expiry the client is told; 0 = never
   */
  static of(manager: ExpiringManager, clock: Clock, noticeMs: number): IdentityExpiry | undefined {
    const { expiresAt } = manager;
    return expiresAt && new IdentityExpiry(manager, clock, expiresAt.getTime(), noticeMs);
  }

  private constructor(
    private readonly manager: ExpiringManager,
    private readonly clock: Clock,
    private readonly expiresAtMs: number,
    noticeMs: number,
  ) {
    this.#noticeAtMs = noticeMs > 0 ? this.#noticeTime(noticeMs) : undefined;
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

  // A client that is told at once would renew at once, and be told at once: a loop, where identities are that short.
  #noticeTime(noticeMs: number): number {
    const leftMs = this.expiresAtMs - this.clock.epoch();
    return this.expiresAtMs - (leftMs > noticeMs ? noticeMs : leftMs / 2);
  }

  #watch(): Release {
    const untilMs = this.#noticeAtMs ?? this.expiresAtMs;
    return atEpoch(this.clock, untilMs, () => {
      if (this.check()) return;
      this.#notify();
      this.#release = this.#watch();
    });
  }

  #notify(): void {
    if (this.#noticeAtMs === undefined) return;
    this.#noticeAtMs = undefined;
    this.manager.send('expiring', { expiresAt: this.expiresAtMs });
  }
}
