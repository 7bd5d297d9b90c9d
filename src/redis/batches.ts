import type { Clock } from '../time/clock.js';
import { answerWithin } from './redis-deadline.js';
import type { RedisClusterSettings } from './redis.options.js';

/** What the deadline of a batch needs. */
export interface BatchServices {
  readonly clock: Clock;
  readonly settings: Readonly<RedisClusterSettings>;
}

/**
 * Runs a step for each item, for `size` items at the same time. Rejects with the first failure, after the last step;
 * at once when Redis does not reply in time.
 */
export async function inBatches<Item>(
  { clock, settings }: BatchServices,
  items: readonly Item[],
  size: number,
  step: (item: Item) => Promise<void>,
): Promise<void> {
  let failure: PromiseRejectedResult | undefined;
  for (let start = 0; start < items.length; start += size) {
    const steps = Promise.allSettled(items.slice(start, start + size).map(step));
    // A timeout ends the loop, because Redis does not reply. An error does not: it may concern one part of a Redis
    // Cluster.
    const outcomes = await answerWithin(clock, settings.commandTimeoutMs, steps);
    failure ??= outcomes.find((outcome) => outcome.status === 'rejected');
  }
  if (failure) throw failure.reason;
}
