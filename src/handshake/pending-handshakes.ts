import type { Clock, Release } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';
import { LinkedList } from '../structures/linked-list.js';
import type { HandshakeAttempt } from './handshake-attempt.js';
import { type Refusal, refusalFor } from './refusal.js';

/** The pending handshakes, the oldest first. All have the same timeout, so one timer, for the oldest, is enough. */
export class PendingHandshakes {
  // Lists and not a Set: the outgrown tables of a small Set keep deleted members until the next full collection, and an
  // attempt references everything that belongs to its connection.
  readonly #newcomers = new LinkedList<HandshakeAttempt>();
  readonly #watched = new LinkedList<HandshakeAttempt>();
  #isLookingSoon = false;
  #stopTimer: Release | undefined;

  constructor(
    private readonly clock: Clock,
    /** Milliseconds that each handshake has. */
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

  /** Refuses all of them, each with a refusal of its own. */
  refuseAll(refusal: () => Refusal): void {
    for (const attempt of [...this.#watched, ...this.#newcomers]) attempt.refuseWith(refusal());
    this.#stopTimer?.();
    this.#stopTimer = undefined;
  }

  get #oldest(): HandshakeAttempt | undefined {
    return this.#watched.first ?? this.#newcomers.first;
  }

  // Most handshakes are over before the next turn of the event loop, and their clients need no watching: three
  // listeners on a socket are a good part of a handshake's cost. One callback in the next turn serves all that arrived
  // in this one.
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

  // One timer serves all handshakes. It is not stopped when the handshake that it was set for is over: a timer for each
  // would cost more than looking at an empty list now and then.
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
      // Removed first, so that the loop ends whatever a refusal does.
      oldest.link.remove();
      oldest.refuseWith(refusalFor('timeout'));
    }
  }
}
