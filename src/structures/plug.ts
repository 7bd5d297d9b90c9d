/** Takes back what was plugged in. */
export type Unplug = () => void;

/**
 * A place for a part of a higher room, which a lower room must not import. The higher room fills it while the
 * application boots, by the `use…` method of the class that has the plug. All plugs stand in docs/architecture.md.
 */
export class Plug<Part> {
  #part: Part | undefined = undefined;

  /** `undefined` while nothing is plugged in. */
  get part(): Part | undefined {
    return this.#part;
  }

  /** Fills the place. A part that is plugged in later takes it over: Nest may tell of the same start twice. */
  use(part: Part): Unplug {
    this.#part = part;
    return () => {
      if (this.#part === part) this.#part = undefined;
    };
  }
}
