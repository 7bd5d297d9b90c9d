import { exactPauseAfter, pauseAfter } from '../time/back-off.js';
import type { Clock, Release } from '../time/clock.js';

/** Something that is to get into Redis, once and in its order. */
export interface Appendable {
  /** What has to stay in order among itself. */
  readonly thread: string;
  readonly bytes: number;
  /**
   * Sends it. `'early'` when Redis lacks what comes before it.
   *
   * @param number its own, above those of all earlier ones
   * @param previous that of the one before it in the same thread; 0 when Redis has had that for certain
   */
  send(number: number, previous: number): Promise<'done' | 'early'>;
  /** It cannot be sent. Answers what is to be sent in its place. */
  giveUp(error: unknown): Appendable | undefined;
}

interface Entry {
  readonly item: Appendable;
  readonly number: number;
  readonly since: number;
  /** The one before it in the same thread, while that is not settled. */
  before: Entry | undefined;
  isSettled: boolean;
}

/** Sent and not answered at once. */
const MAX_IN_FLIGHT = 256;
const MAX_WAITING_BYTES = 16 * 1_048_576;
const MAX_WAITING = 100_000;
/** How long something is tried. */
const HOLD_MS = 15_000;
const BACK_OFF = { firstMs: 20, longestMs: 1_000 };

/**
 * Sends things to Redis in their order, many at a time, and again after a failure: what was sent last may
 * have got there or not, so everything unanswered is sent once more, and Redis leaves out what it has. What
 * cannot be sent for too long is given up.
 */
export class AppendQueue {
  // The oldest first; what is settled is cut off the front.
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
    /** Whether a failure is the thing's own and no other would succeed or fail with it. */
    private readonly isOwnFailure: (error: unknown) => boolean,
    private readonly onFailure: (error: unknown) => void,
  ) {}

  get size(): number {
    return this.#entries.length;
  }

  add(item: Appendable): void {
    if (this.#isClosed) return;
    const isFull = this.#bytes + item.bytes > MAX_WAITING_BYTES || this.size >= MAX_WAITING;
    const accepted = isFull ? this.#replacementOf(item, new Error('too much waits')) : item;
    // Nor may the replacements of any number of threads pile up; giving up has been said aloud.
    if (!accepted || this.size >= MAX_WAITING * 2) return;
    this.#enqueue(accepted);
    this.#pump();
  }

  /** Resolves when nothing waits any more. */
  empty(): Promise<void> {
    return new Promise((resolve) => {
      if (this.size === 0) resolve();
      else this.#whenEmpty = resolve;
    });
  }

  /** The connection is back: no need to wait any longer. */
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
    const before = this.#latest.get(item.thread);
    const since = this.clock.now();
    const entry: Entry = { item, number: this.#numbers, since, before, isSettled: false };
    this.#entries.push(entry);
    this.#latest.set(item.thread, entry);
    this.#bytes += item.bytes;
  }

  // One replacement for a thread is enough while it waits.
  #replacementOf(item: Appendable, error: unknown): Appendable | undefined {
    const replacement = item.giveUp(error);
    return replacement && this.#latest.get(item.thread)?.item.bytes === 0 ? undefined : replacement;
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
    if (this.#latest.get(entry.item.thread) === entry) this.#latest.delete(entry.item.thread);
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
    // What was given up may never have been sent.
    this.#sent = Math.max(0, this.#sent - settled);
  }

  #tryLater(): void {
    const failure = this.#failure;
    this.#failure = undefined;
    // Something had come too early, and what was missing has come meanwhile.
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

  // What grew old while this process slept was not tried: it is, until the pauses are at their longest.
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
