/** The items of a walk with the highest ranks, in bounded memory. Of two with one rank, the one that came first. */
export class Largest<T> {
  #ranked: { readonly item: T; readonly rank: number }[] = [];
  #floor = Number.NEGATIVE_INFINITY;

  constructor(
    private readonly atMost: number,
    private readonly rankOf: (item: T) => number,
  ) {}

  add(item: T): void {
    const rank = this.rankOf(item);
    if (rank <= this.#floor) return;
    this.#ranked.push({ item, rank });
    if (this.#ranked.length === 2 * this.atMost) this.#cut();
  }

  /** The items, the highest rank first. */
  sorted(): T[] {
    this.#cut();
    return this.#ranked.map(({ item }) => item);
  }

  #cut(): void {
    this.#ranked = this.#ranked.toSorted((a, b) => b.rank - a.rank).slice(0, this.atMost);
    if (this.#ranked.length === this.atMost) this.#floor = this.#ranked.at(-1)!.rank;
  }
}
