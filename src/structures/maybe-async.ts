/** Whether a value is a promise, of Node's own or of any library. */
export function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';
}

/**
 * Goes on after a step: at once where the step returned no promise, so that a chain of steps without anything to wait
 * for costs no promise at all. `pending` must not reject.
 */
export function afterwards(
  pending: Promise<void> | undefined,
  goOn: () => Promise<void> | undefined,
): Promise<void> | undefined {
  return pending ? pending.then(goOn) : goOn();
}

/**
 * Takes one item after another through a step. As long as the step returns no promise, all of it happens at once; an
 * item after one with a promise waits for it.
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
