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
 * Runs `step` for 0, 1, 2 and so on. Runs synchronously as long as the step returns no promise. Where the step returns
 * one, the next index waits for it. Neither may reject.
 */
export function inTurn(
  count: number,
  step: (index: number) => Promise<void> | undefined,
  from = 0,
): Promise<void> | undefined {
  for (let index = from; index < count; index += 1) {
    const pending = step(index);
    if (pending) return pending.then(() => inTurn(count, step, index + 1));
  }
  return undefined;
}
