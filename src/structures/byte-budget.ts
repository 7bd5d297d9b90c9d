/** A connection for which bytes wait in memory. */
export interface Holder {
  /** Bytes of memory that wait for this connection at this moment. */
  readonly waitingBytes: number;
  /** Ends the connection, because all connections together exceed the budget. Afterwards nothing waits for it. */
  overload(): void;
}

/** A count runs each time this share of the budget was added. Between two counts it may be exceeded by as much. */
const COUNT_EVERY = 1 / 64;
/** From this share of the budget on, connections that hold more than {@link ByteBudget.share} are slowed down. */
const TIGHT_FROM = 1 / 2;

/**
 * A bound for all bytes that wait in this process. The bounds per connection are not enough: a thousand connections
 * that each stay within their own megabyte hold a gigabyte. The total is read from the connections themselves, and only
 * from those for which bytes wait.
 */
export class ByteBudget {
  readonly #holders = new Set<Holder>();
  #addedBytes = 0;
  #share = Number.POSITIVE_INFINITY;

  constructor(private readonly maxBytes: number) {}

  /** Bytes that one connection may hold before it should be slowed down. Infinite while the budget is not tight. */
  get share(): number {
    return this.#share;
  }

  /** Bytes that wait in this process. */
  get bytes(): number {
    let total = 0;
    for (const { waitingBytes } of this.#holders) total += waitingBytes;
    return total;
  }

  /** Adds waiting bytes of a connection. Over budget, the connections that hold most are ended, perhaps this one. */
  add(connection: Holder, bytes: number): void {
    this.#holders.add(connection);
    this.#addedBytes += bytes;
    if (this.#addedBytes >= this.maxBytes * COUNT_EVERY) this.#count();
  }

  /** Removes a connection for which nothing waits any more. */
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
