/** A place in a {@link LinkedList}. Belongs to one owner for its whole life and is in at most one list at a time. */
export class Link<Owner> {
  list: LinkedList<Owner> | undefined = undefined;
  previous: Link<Owner> | undefined = undefined;
  next: Link<Owner> | undefined = undefined;

  constructor(readonly owner: Owner) {}

  /** Takes the owner out of the list that it is in, if any. */
  remove(): void {
    this.list?.remove(this);
  }
}

/**
 * A list whose members know their own place: adding, removing and moving to the end take constant time.
 */
export class LinkedList<Owner> {
  #head: Link<Owner> | undefined = undefined;
  #tail: Link<Owner> | undefined = undefined;
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get first(): Owner | undefined {
    return this.#head?.owner;
  }

  /** Puts a link at the end, and takes it out of the list that it was in, if any. */
  append(link: Link<Owner>): void {
    if (link.list === this) {
      this.moveToEnd(link);
      return;
    }
    link.list?.remove(link);
    link.list = this;
    link.previous = this.#tail;
    if (this.#tail) this.#tail.next = link;
    else this.#head = link;
    this.#tail = link;
    this.#size += 1;
  }

  // Every message moves a link in two lists. This needs half the writes of a removal and an append.
  private moveToEnd(link: Link<Owner>): void {
    const { previous, next } = link;
    // The link is at the end already.
    if (!next) return;
    if (previous) previous.next = next;
    else this.#head = next;
    next.previous = previous;
    link.previous = this.#tail;
    link.next = undefined;
    this.#tail!.next = link;
    this.#tail = link;
  }

  remove(link: Link<Owner>): void {
    if (link.list !== this) return;
    if (link.previous) link.previous.next = link.next;
    else this.#head = link.next;
    if (link.next) link.next.previous = link.previous;
    else this.#tail = link.previous;
    link.list = undefined;
    link.previous = undefined;
    link.next = undefined;
    this.#size -= 1;
  }

  /** Adds the owners to an array, from first to last. Avoids the iterator, which costs more than a short visit. */
  collectInto(owners: Owner[]): void {
    for (let link = this.#head; link; link = link.next) owners.push(link.owner);
  }

  /**
   * From first to last. Members may be removed and moved to the end meanwhile. Where that happens to the next one, the
   * visit begins again at the first: members that stay may be visited twice, and none is left out.
   */
  *[Symbol.iterator](): Generator<Owner, void, undefined> {
    let link = this.#head;
    while (link) {
      const { previous, next } = link;
      yield link.owner;
      const isInPlace =
        next?.list === this && (next.previous === link || next.previous === previous);
      link = next && !isInPlace ? this.#head : next;
    }
  }

  /** From last to first. A member may be removed while it is visited. */
  *backwards(): Generator<Owner, void, undefined> {
    let link = this.#tail;
    while (link) {
      const { previous } = link;
      yield link.owner;
      link = previous;
    }
  }
}
