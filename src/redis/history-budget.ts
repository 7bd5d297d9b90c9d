import type { Clock, Release } from '../time/clock.js';
import type { HistoryKeys } from './history-keys.js';

/** What this node has last seen in a history. */
interface Share {
  readonly keys: HistoryKeys;
  readonly bytes: number;
  /** Monotonic milliseconds. */
  readonly at: number;
}

/**
 * Bounds the bytes of all histories that this node has appended to within the window. In a Redis Cluster they lie on
 * several servers, so no script can add them up; but each append returns the bytes of its history. Every event has been
 * appended by a node, and lives for one window: Redis therefore holds at most the bound for each node.
 */
export class HistoryBudget {
  // In the order of the last append, oldest first.
  readonly #shares = new Map<string, Share>();
  #bytes = 0;
  #sweeper: Release | undefined;

  constructor(
    private readonly clock: Clock,
    private readonly windowMs: number,
    private readonly maxTotalBytes: number,
    /** Removes the events of a history. */
    private readonly empty: (keys: HistoryKeys) => void,
  ) {}

  /** An event was appended. @param bytes of the history now */
  appended(keys: HistoryKeys, bytes: number): void {
    this.#remove(keys.hash);
    this.#shares.set(keys.hash, { keys, bytes, at: this.clock.now() });
    this.#bytes += bytes;
    this.#sweeper ??= this.clock.every(this.windowMs, () => this.#sweep());
    for (const [hash, oldest] of this.#shares) {
      if (this.#bytes <= this.maxTotalBytes) return;
      this.#remove(hash);
      this.empty(oldest.keys);
    }
  }

  dispose(): void {
    this.#shares.clear();
    this.#bytes = 0;
    this.#sweeper?.();
    this.#sweeper = undefined;
  }

  // The events of these histories have expired.
  #sweep(): void {
    const expired = this.clock.now() - this.windowMs;
    for (const [hash, { at }] of this.#shares) {
      if (at > expired) break;
      this.#remove(hash);
    }
    if (this.#shares.size === 0) this.dispose();
  }

  #remove(hash: string): void {
    this.#bytes -= this.#shares.get(hash)?.bytes ?? 0;
    this.#shares.delete(hash);
  }
}
