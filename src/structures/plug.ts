/** Removes the part that was plugged in. */
export type Unplug = () => void;

/**
 * A place for a part of a higher folder, which a lower folder must not import. The higher folder fills it while the
 * application boots, through the `use…` method of the class that has the plug. docs/architecture.md lists all plugs.
 */
export class Plug<Part> {
  #part: Part | undefined = undefined;

  /** `undefined` while nothing is plugged in. */
  get part(): Part | undefined {
    return this.#part;
  }

  /** Fills the place. A later part replaces an earlier one, because Nest may announce the same start twice. */
  use(part: Part): Unplug {
    this.#part = part;
    return () => {
      if (this.#part === part) this.#part = undefined;
    };
  }
}
