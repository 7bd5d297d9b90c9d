import { inTurn } from '../structures/maybe-async.js';
import type { CloseReason } from '../wire/close-codes.js';

/** Runs once when the connection ends. */
export type Disposer = (reason: CloseReason) => unknown;

/** @throws {TypeError} for a value that is not a function */
export function assertDisposer(disposer: Disposer): void {
  if (typeof disposer === 'function') return;
  throw new TypeError(`Expected onDispose() to get a function, got ${typeof disposer}.`);
}

/** The disposers of one connection. They run one after another, the last registered first. */
export class Disposers {
  readonly #registered: Disposer[] = [];

  get size(): number {
    return this.#registered.length;
  }

  /** Registers a disposer. The returned function removes it. */
  add(disposer: Disposer): () => void {
    const registered = this.#registered;
    registered.push(disposer);
    return () => {
      const index = registered.lastIndexOf(disposer);
      if (index !== -1) registered.splice(index, 1);
    };
  }

  /** Runs every disposer through `step`. */
  run(
    reason: CloseReason,
    step: (label: string, dispose: () => unknown) => Promise<void> | undefined,
  ): Promise<void> | undefined {
    // Taken from the list one by one: a disposer may remove another one, and none is added any more.
    return inTurn(this.#registered.length, () => {
      const disposer = this.#registered.pop();
      if (!disposer) return undefined;
      const label = `onDispose ${disposer.name}`.trimEnd();
      return step(label, () => disposer(reason));
    });
  }
}
