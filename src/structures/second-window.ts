const SECOND_MS = 1_000;

/** Counts events within one second, against a limit. Each new second needs a new window. */
export class SecondWindow {
  #count = 0;

  /** @param since monotonic milliseconds */
  constructor(
    private readonly atMost: number,
    private readonly since: number,
  ) {}

  /** Whether the second of this window has passed. @param now monotonic milliseconds */
  isOver(now: number): boolean {
    return now - this.since >= SECOND_MS;
  }

  /** Counts one more event. False beyond the limit. */
  admit(): boolean {
    this.#count += 1;
    return this.#count <= this.atMost;
  }

  /** How many events came beyond the limit. */
  get leftOut(): number {
    return Math.max(0, this.#count - this.atMost);
  }
}
