import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until a condition holds. It is checked every 10 ms.
 *
 * @returns the time that took, in milliseconds; `Infinity` if the condition did not hold within `timeoutMs`
 */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  timeoutMs: number,
): Promise<number> {
  const startedAt = performance.now();
  while (performance.now() - startedAt < timeoutMs) {
    if (await isSo()) return performance.now() - startedAt;
    await sleep(10);
  }
  return Infinity;
}

export { sleep };
