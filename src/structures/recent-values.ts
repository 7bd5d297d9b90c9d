/**
 * Remembers the values of the keys that were asked for last, where each value is costly to compute and never changes.
 * Keeps at most twice `capacity` of them: a key that is asked for again stays, whatever comes in between.
 */
export class RecentValues<Value> {
  #recent = new Map<string, Value>();
  #older = new Map<string, Value>();

  constructor(
    private readonly capacity: number,
    private readonly compute: (key: string) => Value,
  ) {}

  of(key: string): Value {
    const known = this.#recent.get(key);
    if (known !== undefined) return known;
    const value = this.#older.get(key) ?? this.compute(key);
    if (this.#recent.size >= this.capacity) {
      this.#older = this.#recent;
      this.#recent = new Map();
    }
    this.#recent.set(key, value);
    return value;
  }
}
