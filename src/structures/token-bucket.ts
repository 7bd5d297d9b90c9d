/** Sums of fractions: a bucket that should have a token may lack a billionth of it. */
const ROUNDING = 1e-9;

/** A token bucket: `capacity` tokens per `perMs`, bursts up to `capacity`. No timer: each call refills it first. */
export class TokenBucket {
  #tokens: number;
  #refilledAt: number;

  constructor(
    private readonly capacity: number,
    private readonly perMs: number,
    now: number,
  ) {
    this.#tokens = capacity;
    this.#refilledAt = now;
  }

  /** Whether the bucket is full. A full bucket equals a new one, so its owner may drop it. */
  isFull(now: number): boolean {
    this.#refill(now);
    return this.#tokens >= this.capacity;
  }

  /** How many tokens are missing below none, after a {@link take} with an overdraft. */
  get missing(): number {
    return Math.max(0, -this.#tokens);
  }

  /** Takes one token; false when there is none. @param overdraft how many tokens may be missing afterwards */
  take(now: number, overdraft = 0): boolean {
    this.#refill(now);
    if (this.#tokens - 1 < -overdraft - ROUNDING) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Puts back a token that was taken but not needed. */
  putBack(): void {
    this.#tokens = Math.min(this.capacity, this.#tokens + 1);
  }

  #refill(now: number): void {
    const refill = ((now - this.#refilledAt) * this.capacity) / this.perMs;
    this.#tokens = Math.min(this.capacity, this.#tokens + refill);
    this.#refilledAt = now;
  }
}
