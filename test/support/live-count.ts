import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Counts which of the objects it was shown are still alive. (`v8.queryObjects` sees the objects of the
 * main realm only, and tests run in one of their own.)
 */
export class LiveCount {
  readonly #seen: WeakRef<object>[] = [];

  watch(object: object): void {
    this.#seen.push(new WeakRef(object));
  }

  get watched(): number {
    return this.#seen.length;
  }

  /** How many are left after full collections. */
  async alive(): Promise<number> {
    for (let round = 0; round < 3; round += 1) {
      await nextTurn();
      globalThis.gc!();
    }
    return this.#seen.filter((reference) => reference.deref() !== undefined).length;
  }
}

/** The timers of the process that keep it alive. */
export function activeTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}
