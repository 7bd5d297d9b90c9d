import type { Clock, Release } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';
import { LinkedList } from '../structures/linked-list.js';
import type { HandshakeAttempt } from './handshake-attempt.js';
import { HandshakeRefused } from './refusal.js';

/**
 * The handshakes under way, the oldest first. All have the same time, so that one timer, for the oldest,
 * is enough for all.
 */
export class PendingHandshakes {
  // Lists and not a Set: what a small Set drops is kept by the tables it has outgrown, until the next full
  // collection, and an attempt leads to everything that belongs to its connection.
  readonly #newcomers = new LinkedList<HandshakeAttempt>();
  readonly #watched = new LinkedList<HandshakeAttempt>();
  #isLookingSoon = false;
  #stopTimer: Release | undefined;

  constructor(
    private readonly clock: Clock,
    /** What each of them has. */
    private readonly timeoutMs: number,
  ) {}

  get size(): number {
    return this.#newcomers.size + this.#watched.size;
  }

  add(attempt: HandshakeAttempt): void {
    this.#newcomers.append(attempt.link);
    this.#startTimer();
    this.#lookSoon();
  }

  remove(attempt: HandshakeAttempt): void {
    attempt.link.remove();
  }

  /** Ends all of them with one answer. */
  refuseAll(refusal: HandshakeRefused): void {
    for (const attempt of [...this.#watched, ...this.#newcomers]) attempt.refuse(refusal);
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  get #oldest(): HandshakeAttempt | undefined {
    return this.#watched.first ?? this.#newcomers.first;
  }

  // Most are over before the event loop comes round, and nobody has to watch their clients: three listeners
  // on a socket are a good part of what a handshake costs. One look a turn later is for all that came in this one.
  #lookSoon(): void {
    if (this.#isLookingSoon) return;
    this.#isLookingSoon = true;
    setImmediate(() => {
      this.#isLookingSoon = false;
      for (let newcomer = this.#newcomers.first; newcomer; newcomer = this.#newcomers.first) {
        this.#watched.append(newcomer.link);
        newcomer.watchForGoodbye();
      }
    });
  }

  // The timer is left running when its handshake is over: starting one for each would cost more than
  // looking at an empty list now and then.
  #startTimer(): void {
    if (this.#stopTimer) return;
    const oldest = this.#oldest;
    if (!oldest) return;
    const { clock, timeoutMs } = this;
    const isDue = (): void => {
      this.#stopTimer = undefined;
      this.#refuseOverdue();
      this.#startTimer();
    };
    this.#stopTimer = afterSilence(clock, oldest.deadlineAt - clock.now(), isDue, timeoutMs);
  }

  #refuseOverdue(): void {
    const now = this.clock.now();
    for (let oldest = this.#oldest; oldest && oldest.deadlineAt <= now; oldest = this.#oldest) {
      // First, so that this comes to an end whatever a refusal does.
      oldest.link.remove();
      oldest.refuse(new HandshakeRefused('timeout'));
    }
  }
}
