import { setTimeout as sleep } from 'node:timers/promises';

import { patienceMs } from './patience.js';

/**
 * Retries an assertion until it passes. Use it for effects that take a moment, instead of a sleep, which is too long or
 * too short.
 *
 * @param timeoutMs after which it fails; default: 5 seconds, see `setPatience()`
 * @throws the last error of the assertion, when the time is up
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
