/** The pauses between failed attempts. */
export interface BackOff {
  /** The pause after the first failure, in milliseconds. */
  readonly firstMs: number;
  /** The longest pause before jitter, in milliseconds. */
  readonly longestMs: number;
}

/** Further doublings would leave the range in which numbers are exact. */
const MOST_DOUBLINGS = 30;

/**
 * Adds jitter: up to a quarter more or less, at random. Processes and connections that failed at the same moment must
 * not try again at the same moment.
 */
export function jittered(ms: number): number {
  return ms * (0.75 + Math.random() / 2);
}

/** The pause after a number of failures in a row, in milliseconds: doubled with each failure, with jitter. */
export function pauseAfter(failures: number, backOff: BackOff): number {
  return jittered(exactPauseAfter(failures, backOff));
}

/** As {@link pauseAfter}, without jitter. */
export function exactPauseAfter(failures: number, { firstMs, longestMs }: BackOff): number {
  const doublings = Math.min(MOST_DOUBLINGS, Math.max(0, failures - 1));
  return Math.min(longestMs, firstMs * 2 ** doublings);
}

/**
 * Between a time and twice that time, at random: for clients that are told together when to come back, and must not come
 * back together.
 */
export function spreadFrom(ms: number): number {
  return ms * (1 + Math.random());
}
