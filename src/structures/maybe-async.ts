/** Whether a value is a promise, native or of any library. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

/**
 * Continues after a step. Where the step returned no promise, `goOn` runs at once, so that a chain of synchronous steps
 * creates no promise. `pending` must not reject.
 */
export function afterwards(
  pending: Promise<void> | undefined,
  goOn: () => Promise<void> | undefined,
): Promise<void> | undefined {
  return pending ? pending.then(goOn) : goOn();
}

/**
 * Passes one item after another to a step. Runs synchronously as long as the step returns no promise. Where the step
 * returns one, the next item waits for it.
 *
 * @param take returns the next item, and `undefined` after the last one
 */
export function inTurn<Item>(
  take: () => Item | undefined,
  step: (item: Item) => Promise<void> | undefined,
): Promise<void> | undefined {
  for (let item = take(); item !== undefined; item = take()) {
    const pending = step(item);
    if (pending) return pending.then(() => inTurn(take, step));
  }
  return undefined;
}
