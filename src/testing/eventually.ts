import { setTimeout as sleep } from 'node:timers/promises';

import { patienceMs } from './patience.js';

/**
 * Tries an assertion again until it holds. For what happens soon, but not at once: better than a sleep,
 * which is too long or too short.
 *
 * @param timeoutMs when it fails; default: 5 seconds, see `setPatience()`
 * @throws whatever the assertion threw last, when the time is up
 */
export async function eventually(
  assertion: () => void | Promise<void>,
  timeoutMs: number = patienceMs(),
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
