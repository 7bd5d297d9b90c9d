/** The pins of one connection: work in progress that protects the connection from cleanup. */
export class Pins {
  readonly #labels = new Map<symbol, string>();

  /** @param changed called when the first pin is set and when the last one is removed */
  constructor(private readonly changed: () => void) {}

  get size(): number {
    return this.#labels.size;
  }

  get labels(): readonly string[] {
    return [...this.#labels.values()];
  }

  /** Sets a pin. Disposing of the returned object removes it. */
  add(label: string): Disposable {
    const key = Symbol(label);
    this.#labels.set(key, label);
    if (this.#labels.size === 1) this.changed();
    const remove = (): void => {
      if (this.#labels.delete(key) && this.#labels.size === 0) this.changed();
    };
    return { [Symbol.dispose]: remove };
  }
}
