import type { IsolationEventName } from '../journal/isolation-events.js';

/** One line of the feed. */
export interface FeedItem {
  /** The line. Stays the same when the event is repeated. */
  readonly id: number;
  /** Grows with each event; the number of the latest repetition. */
  readonly number: number;
  /** When it happened first. Epoch milliseconds. */
  readonly since: number;
  /** When it happened last. Epoch milliseconds. */
  readonly at: number;
  /** How many times it has happened. */
  readonly times: number;
  readonly name: IsolationEventName;
  /** How many further events of this kind there were in that second that are not listed. */
  readonly left?: number;
  readonly details: Readonly<Record<string, unknown>>;
}

type Content = Pick<FeedItem, 'name' | 'details' | 'left'> & {
  /** Events with the same subject are repetitions of one line. */
  readonly subject?: string | undefined;
};
type Moment = Pick<FeedItem, 'number' | 'at'>;

const MAX_ITEMS = 60;
/** A repetition after a longer pause is a new line. */
const FOLD_MS = 5 * 60_000;

/** The latest lines of one kind of events. */
export class FeedRing {
  /** In the order of their first event. */
  readonly #items = new Map<number, FeedItem>();
  /** The line of each subject. Holds only lines that are in the ring. */
  readonly #bySubject = new Map<string, number>();
  readonly #subjects = new Map<number, string>();

  get items(): Iterable<FeedItem> {
    return this.#items.values();
  }

  /** Counts a repetition of a line. False when there is none to count it with. */
  repeat(subject: string, { number, at }: Moment): boolean {
    const item = this.#items.get(this.#bySubject.get(subject) ?? 0);
    if (!item || at - item.at > FOLD_MS) return false;
    this.#items.set(item.id, { ...item, number, at, times: item.times + 1 });
    return true;
  }

  push({ subject, ...content }: Content, { number, at }: Moment): void {
    this.#items.set(number, { id: number, number, since: at, at, times: 1, ...content });
    if (subject !== undefined) {
      this.#bySubject.set(subject, number);
      this.#subjects.set(number, subject);
    }
    if (this.#items.size > MAX_ITEMS) this.#drop(this.#items.keys().next().value!);
  }

  #drop(id: number): void {
    this.#items.delete(id);
    const subject = this.#subjects.get(id);
    this.#subjects.delete(id);
    if (subject !== undefined && this.#bySubject.get(subject) === id)
      this.#bySubject.delete(subject);
  }
}
