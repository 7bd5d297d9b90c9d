import { createHash } from 'node:crypto';

import type { Clock, Release } from '../time/clock.js';
import { TokenBucket } from '../structures/token-bucket.js';
import type { DashboardRequest } from './dashboard.options.js';

/** Refused requests of one address that are looked at without a wait … */
const BURST = 20;
/** … and how long each further one takes: about a guess per second, however many are made. */
export const REFILL_MS = 1_000;
/** Addresses remembered at once; the oldest goes first. */
const MAX_ADDRESSES = 1_000;
/** Credentials remembered at once that were let in. */
const MAX_KNOWN = 100;

/**
 * Slows down whoever guesses credentials, by address. Several people may share an address (an office, a proxy that the
 * framework does not trust), so credentials that were let in before never wait, and those of somebody new wait a second.
 */
export class FailedAttempts {
  readonly #byAddress = new Map<string, TokenBucket>();
  readonly #known = new Set<string>();

  constructor(private readonly clock: Clock) {}

  /**
   * Before a request is looked at. Counts it as refused until it is put back: a thousand guesses sent at once must not
   * all be looked at because none has been refused yet.
   *
   * @returns puts it back, for a request that was not refused; `undefined` when it may not be looked at now
   */
  begin(address: string, request: DashboardRequest): Release | undefined {
    const now = this.clock.now();
    const bucket = this.#byAddress.get(address) ?? new TokenBucket(BURST, BURST * REFILL_MS, now);
    // Last in the order again: the oldest goes first.
    this.#byAddress.delete(address);
    this.#byAddress.set(address, bucket);
    trim(this.#byAddress, MAX_ADDRESSES);
    if (bucket.take(now)) return () => bucket.putBack();
    return this.#known.has(credentialsOf(request)) ? nothing : undefined;
  }

  /** The request was let in: these credentials need not wait any more. */
  letIn(request: DashboardRequest): void {
    const credentials = credentialsOf(request);
    this.#known.delete(credentials);
    this.#known.add(credentials);
    trim(this.#known, MAX_KNOWN);
  }
}

// A digest, since credentials have no business in memory.
function credentialsOf({ headers }: DashboardRequest): string {
  const { authorization = '', cookie = '' } = headers;
  return createHash('sha256')
    .update(JSON.stringify([authorization, cookie]))
    .digest('base64');
}

function trim(entries: Map<string, unknown> | Set<string>, max: number): void {
  if (entries.size <= max) return;
  const [oldest] = entries.keys();
  entries.delete(oldest!);
}

function nothing(): void {
  // Nothing was counted.
}
