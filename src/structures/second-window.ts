const SECOND_MS = 1_000;

/** Counts what happens within one second, against a bound. A new second is a new window. */
export class SecondWindow {
  #count = 0;

  /** @param since monotonic milliseconds */
  constructor(
    private readonly atMost: number,
    private readonly since: number,
  ) {}

  /** Whether its second has passed. @param now monotonic milliseconds */
  isOver(now: number): boolean {
    return now - this.since >= SECOND_MS;
  }

  /** Counts one more. False beyond the bound. */
  admit(): boolean {
    this.#count += 1;
    return this.#count <= this.atMost;
  }

  /** How many came beyond the bound. */
  get leftOut(): number {
    return Math.max(0, this.#count - this.atMost);
  }
}
