import type { Clock } from '../time/clock.js';
import type { Position } from '../history/position.js';

/** Threads that nobody has open here and whose place is remembered. */
const MOST_OTHERS = 10_000;

interface KnownPlace {
  position: Position;
  /** Monotonic milliseconds. */
  at: number;
}

/**
 * How far this node has seen each thread. Redis is told with every question: one that has less has lost the
 * end of the thread. What is older than the window is forgotten, as Redis forgets it.
 */
export class KnownPlaces {
  // The longest unchanged first.
  readonly #places = new Map<string, KnownPlace>();

  constructor(
    private readonly clock: Clock,
    private readonly windowMs: number,
    /** Threads that are open here. */
    private readonly open: { readonly size: number },
  ) {}

  /** A thread was seen at a place. */
  saw(hash: string, position: Position): void {
    const known = this.#places.get(hash);
    const at = this.clock.now();
    if (known?.position.epoch === position.epoch && known.position.offset >= position.offset) {
      known.at = at;
      return;
    }
    this.#places.delete(hash);
    this.#places.set(hash, { position, at });
    if (this.#places.size > this.open.size + MOST_OTHERS) this.#dropOne();
  }

  /** As scripts take it: epoch and offset, or empty texts. */
  of(hash: string): [epoch: string, offset: string] {
    const known = this.#places.get(hash);
    if (!known || known.at < this.clock.now() - this.windowMs) return ['', '0'];
    return [known.position.epoch, String(known.position.offset)];
  }

  clear(): void {
    this.#places.clear();
  }

  #dropOne(): void {
    for (const hash of this.#places.keys()) {
      this.#places.delete(hash);
      return;
    }
  }
}
