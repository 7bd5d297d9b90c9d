let patience = 5_000;

/** How long the test kit waits by default, in milliseconds. */
export function patienceMs(): number {
  return patience;
}

/**
 * Sets the default timeout of `eventually()` and of the waits of a `TestClient`. 5 seconds by default; set more on slow
 * or busy machines, for example in CI. A longer timeout takes no time while tests pass.
 *
 * @param ms milliseconds
 * @throws {RangeError} for anything but a number above 0
 * @example
 * ```ts
 * // in a set-up file of your test runner
 * setPatience(60_000);
 * ```
 */
export function setPatience(ms: number): void {
  if (typeof ms !== 'number' || !(ms > 0)) {
    throw new RangeError(`Expected milliseconds above 0, got ${String(ms)}.`);
  }
  patience = ms;
}
