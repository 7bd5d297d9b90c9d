/** A connection for which something waits. */
export interface Holder {
  /** What waits for it at this moment, in bytes of memory. */
  readonly waitingBytes: number;
  /** Ends the connection, since all connections together hold more than this process may: nothing waits for it then. */
  overload(): void;
}

/** The budget is counted after each such share of it that was added: between two counts it may be exceeded by so much. */
const COUNT_EVERY = 1 / 64;
/** From this share of the budget on, connections that hold more than others are slowed down. */
const TIGHT_FROM = 1 / 2;

/**
 * A bound over everything that waits in this process. The bounds per connection are not enough: a thousand connections
 * that each stay inside their own megabyte hold a gigabyte. Counted from the connections themselves, and only from those
 * for which something waits.
 */
export class ByteBudget {
  readonly #holders = new Set<Holder>();
  #addedBytes = 0;
  #share = Number.POSITIVE_INFINITY;

  constructor(private readonly maxBytes: number) {}

  /** How much one connection may hold before it should be slowed down: infinite while the budget is not tight. */
  get share(): number {
    return this.#share;
  }

  /** More waits for a connection. Ends those that hold most when the budget is exceeded; it may be this one. */
  add(connection: Holder, bytes: number): void {
    this.#holders.add(connection);
    this.#addedBytes += bytes;
    if (this.#addedBytes >= this.maxBytes * COUNT_EVERY) this.#count();
  }

  /** Nothing waits for a connection any more. */
  delete(connection: Holder): void {
    this.#holders.delete(connection);
  }

  #count(): void {
    this.#addedBytes = 0;
    let total = 0;
    for (const holder of this.#holders) {
      const { waitingBytes } = holder;
      if (waitingBytes === 0) this.#holders.delete(holder);
      total += waitingBytes;
    }
    if (total > this.maxBytes) total -= this.#endGreediest(total - this.maxBytes);
    const isTight = total > this.maxBytes * TIGHT_FROM;
    this.#share = isTight
      ? (this.maxBytes * TIGHT_FROM) / this.#holders.size
      : Number.POSITIVE_INFINITY;
  }

  #endGreediest(excess: number): number {
    let freed = 0;
    const greediestFirst = [...this.#holders].toSorted((a, b) => b.waitingBytes - a.waitingBytes);
    for (const holder of greediestFirst) {
      if (freed >= excess) break;
      freed += holder.waitingBytes;
      this.#holders.delete(holder);
      holder.overload();
    }
    return freed;
  }
}
