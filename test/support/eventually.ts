import { setTimeout as sleep } from 'node:timers/promises';

/** Tries an assertion again until it holds or the time is up. */
export async function eventually(
  assertion: () => void | Promise<void>,
  timeoutMs = 5_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    try {
      await assertion();
      return;
    } catch (error) {
      if (performance.now() > deadline) throw error;
      await sleep(5);
    }
  }
}
