/** One of the most frequent keys. */
export interface FrequentKey {
  readonly key: string;
  /** At least as many times as it was counted; too high by what it has taken over from a key that it displaced. */
  readonly times: number;
}

/**
 * Counts which keys are frequent among any number of keys, in bounded memory (the algorithm "Space-Saving"). A key that
 * makes up more than one in `capacity` is never missed.
 */
export class FrequentKeys {
  readonly #counts = new Map<string, number>();

  constructor(private readonly capacity: number) {}

  add(key: string): void {
    const known = this.#counts.get(key);
    if (known !== undefined) this.#counts.set(key, known + 1);
    else if (this.#counts.size < this.capacity) this.#counts.set(key, 1);
    else this.#displace(key);
  }

  /** The most frequent keys, in descending order. */
  top(most: number): FrequentKey[] {
    return [...this.#counts]
      .map(([key, times]) => ({ key, times }))
      .toSorted((one, other) => other.times - one.times)
      .slice(0, most);
  }

  #displace(key: string): void {
    let rarest = '';
    let fewest = Number.POSITIVE_INFINITY;
    for (const [other, times] of this.#counts) {
      if (times >= fewest) continue;
      rarest = other;
      fewest = times;
      if (fewest === 1) break;
    }
    this.#counts.delete(rarest);
    this.#counts.set(key, fewest + 1);
  }
}
