import type { Clock } from '../time/clock.js';

/** How often one history may bring back clients at once: all tabs of a user resume the same one. */
const RETURNS = 20;
const WINDOW_MS = 10_000;
/** Histories that are counted. Beyond it, counting begins anew. */
const MOST_KEPT = 10_000;

/**
 * Decides which clients come back: those with a position that this server, or another node of its cluster, has sealed.
 * A client without credentials cannot have one; a client that has one cannot use it for any number of others.
 */
export class ReturningClients {
  readonly #counts = new Map<string, number>();
  #since: number;

  constructor(private readonly clock: Clock) {
    this.#since = clock.now();
  }

  /** Counts one arrival. @param epoch of the sealed position; `undefined`: no sealed position */
  isReturning(epoch: string | undefined): boolean {
    if (epoch === undefined) return false;
    const now = this.clock.now();
    if (now - this.#since >= WINDOW_MS || this.#counts.size >= MOST_KEPT) {
      this.#counts.clear();
      this.#since = now;
    }
    const count = (this.#counts.get(epoch) ?? 0) + 1;
    this.#counts.set(epoch, count);
    return count <= RETURNS;
  }
}
