import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Waits until something is so, looking again every few milliseconds.
 *
 * @returns how long that took, in milliseconds; `Infinity` when it was not so in time
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
