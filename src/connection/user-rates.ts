import { Inject, Injectable, type OnApplicationShutdown } from '@nestjs/common';

import { type Clock, CLOCK, type Release } from '../time/clock.js';
import type { RateOptions } from '../config/inbound-options.js';
import { TokenBucket } from '../structures/token-bucket.js';

/**
 * The message rate of each user over all of the user's connections. A bucket is kept until it is full again, even after
 * the user's last connection has closed: otherwise reconnecting would refill it.
 */
@Injectable()
export class UserRates implements OnApplicationShutdown {
  readonly #buckets = new Map<string, TokenBucket>();
  #stopSweeping: Release | undefined;

  constructor(@Inject(CLOCK) private readonly clock: Clock) {}

  /** Users whose bucket is not full. */
  get size(): number {
    return this.#buckets.size;
  }

  /** Takes one message from the user's bucket. Returns false when the bucket is empty. */
  take(userId: string, rate: RateOptions, now: number): boolean {
    let bucket = this.#buckets.get(userId);
    if (!bucket) {
      bucket = new TokenBucket(rate.perUser ?? rate.messages, rate.perMs, now);
      this.#buckets.set(userId, bucket);
      this.#stopSweeping ??= this.clock.every(rate.perMs, () => this.#sweep());
    }
    return bucket.take(now);
  }

  onApplicationShutdown(): void {
    this.#buckets.clear();
    this.#sweep();
  }

  // A full bucket equals a new one, so it is deleted.
  #sweep(): void {
    const now = this.clock.now();
    for (const [userId, bucket] of this.#buckets) {
      if (bucket.isFull(now)) this.#buckets.delete(userId);
    }
    if (this.#buckets.size > 0) return;
    this.#stopSweeping?.();
    this.#stopSweeping = undefined;
  }
}
