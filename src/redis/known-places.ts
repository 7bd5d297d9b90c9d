import type { Clock } from '../time/clock.js';
import type { Position } from '../history/position.js';

/** Histories whose position is remembered although no connection of this node has them open. */
const MOST_OTHERS = 10_000;

interface KnownPlace {
  position: Position;
  /** Monotonic milliseconds. */
  at: number;
}

/**
 * The latest position of each history that this node has seen. It is sent to Redis with every command: a Redis that has
 * less has lost the end of the history. A position older than the window is ignored, because Redis forgets it too.
 */
export class KnownPlaces {
  // In the order of the last change, oldest first.
  readonly #places = new Map<string, KnownPlace>();

  constructor(
    private readonly clock: Clock,
    private readonly windowMs: number,
    /** Histories that connections of this node have open. */
    private readonly open: { readonly size: number },
  ) {}

  /** Remembers that a history was seen at a position. */
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

  /** The position of a history as scripts take it: epoch and offset; an empty epoch and offset 0 if it is unknown. */
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
