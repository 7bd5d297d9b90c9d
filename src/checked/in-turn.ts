import { isThenable } from '../structures/maybe-async.js';

/** Acts on results in the order in which they were asked for; at once, as long as none of them takes time. */
export class InTurn {
  #last: Promise<void> | undefined;

  /** @param result must not reject @param act must not throw */
  after<T>(result: T | PromiseLike<T>, act: (result: T) => void): void {
    if (!this.#last && !isThenable(result)) return act(result);
    const turn: Promise<void> = this.#take(this.#last, result, act).then(() => {
      if (this.#last === turn) this.#last = undefined;
    });
    this.#last = turn;
  }

  async #take<T>(
    before: Promise<void> | undefined,
    result: T | PromiseLike<T>,
    act: (result: T) => void,
  ): Promise<void> {
    await before;
    act(await result);
  }
}
