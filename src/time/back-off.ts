/** The pauses between attempts that fail. */
export interface BackOff {
  /** Milliseconds after the first failure. */
  readonly firstMs: number;
  /** Milliseconds that no pause exceeds, but for the jitter. */
  readonly longestMs: number;
}

/** Doubling further would leave the numbers behind which are exact. */
const MOST_DOUBLINGS = 30;

/**
 * Up to a quarter more or less, at random: so that processes and connections that failed at the same moment do not try
 * again at the same moment.
 */
export function jittered(ms: number): number {
  return ms * (0.75 + Math.random() / 2);
}

/** The pause after so many failures in a row, in milliseconds: doubled by each, with jitter. */
export function pauseAfter(failures: number, backOff: BackOff): number {
  return jittered(exactPauseAfter(failures, backOff));
}

/** As {@link pauseAfter}, without jitter. */
export function exactPauseAfter(failures: number, { firstMs, longestMs }: BackOff): number {
  const doublings = Math.min(MOST_DOUBLINGS, Math.max(0, failures - 1));
  return Math.min(longestMs, firstMs * 2 ** doublings);
}
