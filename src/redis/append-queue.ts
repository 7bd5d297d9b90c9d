import { exactPauseAfter, pauseAfter } from '../time/back-off.js';
import type { Clock, Release } from '../time/clock.js';

/** An item that is written to Redis once and in order. */
export interface Appendable {
  /** Items of the same history keep their order among each other. */
  readonly history: string;
  /** What the item counts in the bound of the queue; 0 for a replacement, see {@link giveUp}. */
  readonly bytes: number;
  /**
   * Sends the item. Resolves to `'early'` when Redis does not have the previous item of the history yet.
   *
   * @param number of this item, higher than the numbers of all earlier items
   * @param previous number of the previous item of the same history; 0 when Redis certainly has that item
   */
  send(number: number, previous: number): Promise<'done' | 'early'>;
  /** The item cannot be sent. Returns the item to send in its place, if any. */
  giveUp(error: unknown): Appendable | undefined;
}

interface Entry {
  readonly item: Appendable;
  readonly number: number;
  readonly since: number;
  /** The previous entry of the same history, if it was not settled when this one was added. */
  before: Entry | undefined;
  isSettled: boolean;
}

/** Items that are sent and wait for their reply. */
const MAX_IN_FLIGHT = 256;
const MAX_WAITING_BYTES = 16 * 1_048_576;
const MAX_WAITING = 100_000;
/** Milliseconds for which an item is retried. */
const HOLD_MS = 15_000;
const BACK_OFF = { firstMs: 20, longestMs: 1_000 };

/**
 * Sends items to Redis in order, many at a time, and retries after a failure. A failed item may or may not have reached
 * Redis, so every item without a reply is sent again, and Redis skips the items it already has. An item that cannot be
 * sent for too long is given up.
 */
export class AppendQueue {
  // Oldest first; settled entries are cut off the front.
  #entries: Entry[] = [];
  #sent = 0;
  #inFlight = 0;
  #bytes = 0;
  #numbers = 0;
  #failure: unknown;
  #hasFailed = false;
  #failuresInARow = 0;
  #retry: Release | undefined;
  #isClosed = false;
  #whenEmpty: (() => void) | undefined;
  readonly #latest = new Map<string, Entry>();

  constructor(
    private readonly clock: Clock,
    /** Whether a failure concerns only the item that was sent, and says nothing about the others. */
    private readonly isOwnFailure: (error: unknown) => boolean,
    private readonly onFailure: (error: unknown) => void,
  ) {}

  get size(): number {
    return this.#entries.length;
  }

  add(item: Appendable): void {
    if (this.#isClosed) return;
    const isFull = this.#bytes + item.bytes > MAX_WAITING_BYTES || this.size >= MAX_WAITING;
    const accepted = isFull
      ? this.#replacementOf(item, new Error('the queue for Redis is full'))
      : item;
    // Replacements are bounded too: very many histories could have one each. The loss has been reported by giveUp().
    if (!accepted || this.size >= MAX_WAITING * 2) return;
    this.#enqueue(accepted);
    this.#pump();
  }

  /** Resolves when the queue is empty or closed. */
  empty(): Promise<void> {
    return new Promise((resolve) => {
      if (this.size === 0) resolve();
      else this.#whenEmpty = resolve;
    });
  }

  /** The connection is back: ends the back-off pause. */
  hurry(): void {
    if (this.#retry) this.#tryAgain();
  }

  close(): void {
    this.#isClosed = true;
    this.#retry?.();
    this.#entries = [];
    this.#latest.clear();
    this.#whenEmpty?.();
  }

  #enqueue(item: Appendable): void {
    this.#numbers += 1;
    const before = this.#latest.get(item.history);
    const since = this.clock.now();
    const entry: Entry = { item, number: this.#numbers, since, before, isSettled: false };
    this.#entries.push(entry);
    this.#latest.set(item.history, entry);
    this.#bytes += item.bytes;
  }

  // While a replacement is the latest item of a history, no second one is needed.
  #replacementOf(item: Appendable, error: unknown): Appendable | undefined {
    const replacement = item.giveUp(error);
    return replacement && this.#latest.get(item.history)?.item.bytes === 0
      ? undefined
      : replacement;
  }

  #pump(): void {
    while (!this.#hasFailed && this.#inFlight < MAX_IN_FLIGHT && this.#sent < this.size) {
      const entry = this.#entries[this.#sent]!;
      this.#sent += 1;
      if (!entry.isSettled) this.#send(entry);
    }
  }

  #send(entry: Entry): void {
    const { item, number, before } = entry;
    this.#inFlight += 1;
    const previous = before && !before.isSettled ? before.number : 0;
    item.send(number, previous).then(
      (outcome) => {
        this.#inFlight -= 1;
        if (outcome === 'done') this.#settle(entry);
        else this.#hasFailed = true;
        this.#goOn();
      },
      (error: unknown) => {
        this.#inFlight -= 1;
        this.#fail(entry, error);
        this.#goOn();
      },
    );
  }

  #fail(entry: Entry, error: unknown): void {
    this.#hasFailed = true;
    if (this.isOwnFailure(error)) this.#giveUp(entry, error);
    else this.#failure = error;
  }

  #settle(entry: Entry): void {
    entry.isSettled = true;
    entry.before = undefined;
    this.#bytes -= entry.item.bytes;
    if (this.#latest.get(entry.item.history) === entry) this.#latest.delete(entry.item.history);
    if (!this.#hasFailed) this.#failuresInARow = 0;
  }

  #goOn(): void {
    if (this.#isClosed) return;
    this.#cutSettled();
    if (!this.#hasFailed) this.#pump();
    else if (this.#inFlight === 0) this.#tryLater();
    if (this.size === 0) this.#whenEmpty?.();
  }

  #cutSettled(): void {
    if (this.#entries[0]?.isSettled !== true) return;
    let settled = 1;
    while (this.#entries[settled]?.isSettled === true) settled += 1;
    this.#entries.splice(0, settled);
    // An entry that was given up may be settled without having been sent.
    this.#sent = Math.max(0, this.#sent - settled);
  }

  #tryLater(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    // Redis did not fail: items were early, and the items before them have reached Redis meanwhile.
    if (failure === undefined) {
      this.#tryAgain();
      return;
    }
    this.onFailure(failure);
    this.#failuresInARow += 1;
    this.#giveUpOld(failure);
    this.#cutSettled();
    const pauseMs = pauseAfter(this.#failuresInARow, BACK_OFF);
    this.#retry ??= this.clock.after(pauseMs, () => this.#tryAgain());
  }

  #tryAgain(): void {
    this.#retry?.();
    this.#retry = undefined;
    if (this.#isClosed || this.#inFlight > 0) return;
    this.#hasFailed = false;
    this.#entries = this.#entries.filter(({ isSettled }) => !isSettled);
    this.#sent = 0;
    this.#pump();
  }

  // An item that grew old while this process slept has hardly been tried. It is given up only after the back-off has
  // reached its longest pause.
  #giveUpOld(error: unknown): void {
    if (exactPauseAfter(this.#failuresInARow, BACK_OFF) < BACK_OFF.longestMs) return;
    const oldest = this.clock.now() - HOLD_MS;
    for (const entry of this.#entries) {
      if (entry.since > oldest) break;
      if (!entry.isSettled && entry.item.bytes > 0) this.#giveUp(entry, error);
    }
  }

  #giveUp(entry: Entry, error: unknown): void {
    const replacement = this.#replacementOf(entry.item, error);
    this.#settle(entry);
    if (replacement) this.#enqueue(replacement);
  }
}
