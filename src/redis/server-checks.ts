import type { Clock } from '../time/clock.js';
import type { RedisConnection } from './connections.js';

/** Milliseconds that the clocks may drift apart between two readings. */
const DRIFT_MS = 1_000;

/**
 * Watches the clock of Redis, by which all leases end: when it jumps, leases end early or late. Renewals repair the
 * leases; the administrator has to repair the clock. On a machine that was paused together with its clocks, it looks
 * the same.
 */
export class ServerClock {
  // The clock of Redis minus the monotonic clock of this process lies between these two.
  #least = Number.NaN;
  #most = Number.NaN;

  constructor(
    private readonly clock: Clock,
    private readonly warn: (what: string) => void,
  ) {}

  /**
   * Takes a reading. Returns whether leases may have ended early, unnoticed by this process.
   *
   * @param serverTime epoch milliseconds that Redis has returned
   * @param askedAt monotonic milliseconds at which Redis was asked; the reply has arrived now
   */
  heard(serverTime: number, askedAt: number): boolean {
    const least = serverTime - this.clock.now();
    const most = serverTime - askedAt;
    const ahead = least - this.#most;
    const behind = this.#least - most;
    this.#least = least;
    this.#most = most;
    if (ahead > DRIFT_MS || behind > DRIFT_MS) {
      const jumpMs = Math.round(ahead > DRIFT_MS ? ahead : -behind);
      this.warn(
        `The clock of Redis has jumped by ${jumpMs} ms: leases end at the wrong time. If this machine was paused ` +
          'meanwhile, its own clock stood still instead.',
      );
    }
    return ahead > DRIFT_MS;
  }
}

/** The warning about a Redis that may evict keys; `undefined` if it does not, or if its policy is unknown. */
export async function evictionWarning(connection: RedisConnection): Promise<string | undefined> {
  let info: string | undefined;
  try {
    info = await connection.info?.('memory');
  } catch {
    return undefined;
  }
  const policy = /^maxmemory_policy:(\S+)/m.exec(String(info))?.[1];
  if (policy === undefined || policy === 'noeviction') return undefined;
  return (
    `Redis runs with maxmemory-policy ${policy}: when its memory is full, it evicts slots without an error. ` +
    'Set it to noeviction.'
  );
}
