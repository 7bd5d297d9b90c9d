import { TokenBucket } from '../structures/token-bucket.js';
import { spreadFrom } from '../time/back-off.js';

/** The longest time that a client is told to wait, in milliseconds, however many wait. */
const LONGEST_WAIT_MS = 60_000;
/**
 * The least time, at random up to twice of it: after a shorter one, the client would go by its own back-off, which grows
 * with each refusal, and leave its turn unused. Also what an overloaded process needs to be measured anew.
 */
const LEAST_WAIT_MS = 500;
/** By how much of its wait a client comes before its turn, at random and at most. */
const JITTER = 0.1;
/**
 * Every turn is given to three clients; those that find no token get another turn. Behind a proxy, a client comes back
 * to any process of several. A proxy that prefers the one with the fewest connections sends it more than its share of
 * those that are refused; with turns for one client each, they would take several times as long, while the tokens of
 * the other processes stay unused.
 */
const CLIENTS_PER_TURN = 3;
const SECOND_MS = 1_000;

/**
 * A token bucket over arrivals, and the queue of those that it refused. No client is kept: each refused one gets the
 * next place in the queue, which is emptied by time alone. So those who were refused together come back one after
 * another, somewhat faster than the bucket fills up: it is neither idle nor flooded.
 */
export class ArrivalRate {
  readonly #bucket: TokenBucket;
  // When the queue of newcomers, and that of returning clients, will be empty.
  #newcomersUntil: number;
  #returningUntil: number;

  /**
   * @param perSecond tokens per second
   * @param burst the most tokens
   */
  constructor(
    private readonly perSecond: number,
    private readonly burst: number,
    now: number,
  ) {
    this.#bucket = new TokenBucket(burst, this.refillMs, now);
    this.#newcomersUntil = now;
    this.#returningUntil = now;
  }

  /** Milliseconds in which an empty bucket fills up. A full bucket equals a new one, so its owner may drop it. */
  get refillMs(): number {
    return (this.burst * SECOND_MS) / this.perSecond;
  }

  /** Takes a token. False when there is none. @param overdraft how many tokens may be missing afterwards */
  take(now: number, overdraft = 0): boolean {
    return this.#bucket.take(now, overdraft);
  }

  /** Gives a refused client the next place in its queue: milliseconds until its turn, with jitter. */
  queue(now: number, isReturning: boolean): number {
    const tokenMs = SECOND_MS / this.perSecond;
    const missingMs = this.#bucket.missing * tokenMs;
    const until = isReturning ? this.#returningUntil : this.#newcomersUntil;
    const aheadMs = Math.max(missingMs, until - now);
    const waitMs = Math.min(LONGEST_WAIT_MS, aheadMs + tokenMs / CLIENTS_PER_TURN);
    if (isReturning) this.#returningUntil = now + waitMs;
    else this.#newcomersUntil = now + waitMs;
    // Those beyond the end of the longest queue must not all come at its end.
    const jitter = waitMs === LONGEST_WAIT_MS ? 1 / 2 : JITTER;
    return Math.max(spreadFrom(LEAST_WAIT_MS), waitMs * (1 - Math.random() * jitter));
  }
}
