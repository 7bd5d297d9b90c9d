import { createHash } from 'node:crypto';

import type { Clock, Release } from '../time/clock.js';
import { TokenBucket } from '../structures/token-bucket.js';
import type { PageRequest } from './page-request.js';

/** Refused requests of one address that are processed without a wait … */
const BURST = 20;
/** … and milliseconds after which each further one is: about one guess per second, however many are sent. */
export const REFILL_MS = 1_000;
/** Addresses remembered at once; the oldest is dropped first. */
const MAX_ADDRESSES = 1_000;
/** Admitted credentials remembered at once. */
const MAX_KNOWN = 100;

/**
 * Slows down guessing of credentials, by address. Several people may share an address (an office, a proxy that is
 * not named in `handshake.trustProxy`), so credentials that were admitted before never wait, and those of a new user wait a
 * second.
 */
export class FailedAttempts {
  // By IPv4 address, or /64 of IPv6.
  readonly #byAddress = new Map<string, TokenBucket>();
  readonly #known = new Set<string>();

  constructor(private readonly clock: Clock) {}

  /**
   * Call it before a request is processed. The request counts as refused until it is put back: otherwise a thousand
   * guesses sent at once would all be processed, because none of them has been refused yet.
   *
   * @returns a function that puts the request back if it was not refused; `undefined` if it must not be processed now
   */
  begin(address: string, request: PageRequest): Release | undefined {
    const now = this.clock.now();
    const bucket = this.#byAddress.get(address) ?? new TokenBucket(BURST, BURST * REFILL_MS, now);
    // Moves the address to the end of the order: the first one is dropped.
    this.#byAddress.delete(address);
    this.#byAddress.set(address, bucket);
    trim(this.#byAddress, MAX_ADDRESSES);
    if (bucket.take(now)) return () => bucket.putBack();
    return this.#known.has(credentialsOf(request)) ? nothing : undefined;
  }

  /** The request was admitted: its credentials do not wait any more. */
  letIn(request: PageRequest): void {
    const credentials = credentialsOf(request);
    this.#known.delete(credentials);
    this.#known.add(credentials);
    trim(this.#known, MAX_KNOWN);
  }
}

// A digest, so that credentials are not kept in memory.
function credentialsOf({ headers }: PageRequest): string {
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
