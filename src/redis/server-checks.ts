import type { Clock } from '../time/clock.js';
import type { RedisConnection } from './connections.js';

/** What the clocks may differ in, between two looks at them. */
const DRIFT_MS = 1_000;

/**
 * Watches the clock of Redis, by which all leases end: when it jumps, they end early or late. Renewals
 * mend it; somebody should mend the clock. A machine that was paused with its clocks sees the same.
 */
export class ServerClock {
  // The clock of Redis minus our monotonic one lies between these two.
  #least = Number.NaN;
  #most = Number.NaN;

  constructor(
    private readonly clock: Clock,
    private readonly warn: (what: string) => void,
  ) {}

  /**
   * Returns whether leases may have ended early, without this process having known.
   *
   * @param serverTime what Redis said
   * @param askedAt monotonic milliseconds when it was asked; it is heard now
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
        `The clock of Redis has jumped by ${jumpMs} ms: leases end at the wrong time. Where this machine was paused ` +
          'meanwhile, it is its own clock that stood still.',
      );
    }
    return ahead > DRIFT_MS;
  }
}

/** What to say about a Redis that may throw keys away; `undefined` where it does not, or does not tell. */
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
    `Redis runs with maxmemory-policy ${policy}: when it is full it throws slots away without a word. ` +
    'Set it to noeviction.'
  );
}
