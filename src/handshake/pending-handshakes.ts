import type { Clock, Release } from '../clock/clock.js';
import type { HandshakeAttempt } from './handshake-attempt.js';
import { HandshakeRefused } from './refusal.js';

/**
 * The handshakes under way, the oldest first. All have the same time, so that one timer, for the oldest,
 * is enough for all.
 */
export class PendingHandshakes {
  readonly #attempts = new Set<HandshakeAttempt>();
  #newcomers: HandshakeAttempt[] = [];
  #stopTimer: Release | undefined;

  constructor(private readonly clock: Clock) {}

  get size(): number {
    return this.#attempts.size;
  }

  add(attempt: HandshakeAttempt): void {
    this.#attempts.add(attempt);
    this.#watch();
    this.#welcome(attempt);
  }

  remove(attempt: HandshakeAttempt): void {
    this.#attempts.delete(attempt);
  }

  /** Ends all of them with one answer. */
  refuseAll(refusal: HandshakeRefused): void {
    for (const attempt of this.#attempts) attempt.refuse(refusal);
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  // Most are over before the event loop comes round, and nobody has to watch their clients: three listeners
  // on a socket are a good part of what a handshake costs. One look a turn later is for all that came in this one.
  #welcome(attempt: HandshakeAttempt): void {
    this.#newcomers.push(attempt);
    if (this.#newcomers.length > 1) return;
    setImmediate(() => {
      const newcomers = this.#newcomers;
      this.#newcomers = [];
      for (const newcomer of newcomers) newcomer.watchForGoodbye();
    });
  }

  // The timer is left running when its handshake is over: starting one for each would cost more than
  // looking at an empty list now and then.
  #watch(): void {
    const oldest = this.#attempts.values().next().value;
    if (this.#stopTimer || !oldest) return;
    this.#stopTimer = this.clock.after(oldest.deadlineAt - this.clock.now(), () => {
      this.#stopTimer = undefined;
      this.#refuseOverdue();
      this.#watch();
    });
  }

  #refuseOverdue(): void {
    const now = this.clock.now();
    for (const attempt of this.#attempts) {
      if (attempt.deadlineAt > now) return;
      attempt.refuse(new HandshakeRefused('timeout'));
    }
  }
}
