import { setImmediate as turn } from 'node:timers/promises';

/** Collects all garbage, in several rounds: objects that finalizers keep alive are freed by the next one. */
export async function collect(): Promise<void> {
  for (let round = 0; round < 3; round += 1) {
    global.gc?.();
    await turn();
  }
}
