/** Lets through so many per so much time, with bursts up to the same number. No timer: it is refilled when asked. */
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

  /** Whether nobody would notice if it were a new one. */
  isFull(now: number): boolean {
    this.#refill(now);
    return this.#tokens >= this.capacity;
  }

  /** Takes one token; false when there is none. */
  take(now: number): boolean {
    this.#refill(now);
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }

  /** Gives back a token that was taken for nothing. */
  putBack(): void {
    this.#tokens = Math.min(this.capacity, this.#tokens + 1);
  }

  #refill(now: number): void {
    const refill = ((now - this.#refilledAt) * this.capacity) / this.perMs;
    this.#tokens = Math.min(this.capacity, this.#tokens + refill);
    this.#refilledAt = now;
  }
}
