import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Tries an assertion again until it holds. For what happens soon, but not at once: better than a sleep,
 * which is too long or too short.
 *
 * @throws whatever the assertion threw last, when the time is up
 */
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
