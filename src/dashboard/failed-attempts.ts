import type { Clock } from '../clock/clock.js';

/** Refusals after which an address is not even asked any more … */
const ALLOWED = 5;
/** … within this time. */
const WINDOW_MS = 60_000;
/** Addresses remembered at once; the oldest goes first. */
const MAX_ADDRESSES = 1_000;

/** Slows down whoever guesses credentials: counts the refusals of each address. */
export class FailedAttempts {
  readonly #byAddress = new Map<string, { since: number; count: number }>();

  constructor(private readonly clock: Clock) {}

  isExhausted(address: string): boolean {
    return (this.#current(address)?.count ?? 0) >= ALLOWED;
  }

  add(address: string): void {
    const entry = this.#current(address);
    if (entry) {
      entry.count += 1;
      return;
    }
    this.#byAddress.delete(address);
    if (this.#byAddress.size >= MAX_ADDRESSES) {
      const [oldest] = this.#byAddress.keys();
      this.#byAddress.delete(oldest!);
    }
    this.#byAddress.set(address, { since: this.clock.now(), count: 1 });
  }

  forget(address: string): void {
    this.#byAddress.delete(address);
  }

  #current(address: string): { since: number; count: number } | undefined {
    const entry = this.#byAddress.get(address);
    return entry && this.clock.now() - entry.since < WINDOW_MS ? entry : undefined;
  }
}
