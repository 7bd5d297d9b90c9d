let patience = 5_000;

/** How long the test kit waits by default, in milliseconds. */
export function patienceMs(): number {
  return patience;
}

/**
 * Sets how long `eventually()` and the waits of a `TestClient` last before they fail, where they are not told otherwise.
 * 5 seconds by default; give more on machines that are slow or busy, for example in CI. It costs nothing while tests pass.
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
