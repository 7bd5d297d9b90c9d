/** The items of a stream, as their schema makes them. An item that does not fit ends the stream. */
export class CheckedStream<T> implements AsyncIterableIterator<T, undefined> {
  #hasBegun = false;

  constructor(
    /** Called before the first item is asked for. */
    private readonly begin: () => void,
    private readonly items: AsyncIterableIterator<T, undefined>,
    private readonly read: (item: T) => T | PromiseLike<T>,
  ) {}

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    try {
      const isFirst = !this.#hasBegun;
      this.#hasBegun = true;
      if (isFirst) this.begin();
      const result = await this.items.next();
      return result.done ? result : { done: false, value: await this.read(result.value) };
    } catch (error) {
      // The server is told to cancel.
      await this.return();
      throw error;
    }
  }

  return(): Promise<IteratorResult<T, undefined>> {
    return this.items.return!();
  }
}
