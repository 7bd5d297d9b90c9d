import { setImmediate as nextTurn } from 'node:timers/promises';

/**
 * Counts how many of the watched objects are still alive. (`v8.queryObjects` finds only objects of the main realm, and
 * Jest runs tests in another realm.)
 */
export class LiveCount {
  readonly #seen: WeakRef<object>[] = [];

  watch(object: object): void {
    this.#seen.push(new WeakRef(object));
  }

  get watched(): number {
    return this.#seen.length;
  }

  /** Resolves with the number of watched objects that are left after full garbage collections. */
  async alive(): Promise<number> {
    for (let round = 0; round < 3; round += 1) {
      await nextTurn();
      globalThis.gc!();
    }
    return this.#seen.filter((reference) => reference.deref() !== undefined).length;
  }
}

/** Returns the number of timers that keep the process alive. */
export function activeTimers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}
