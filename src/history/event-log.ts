import {
  CHUNK_BYTES,
  EVENT_OVERHEAD_BYTES,
  type RecordedEvent,
  type Stretch,
  type HistoryEvent,
} from './event-history.js';
import type { Position } from './position.js';

interface Kept extends RecordedEvent {
  readonly at: number;
  readonly bytes: number;
}

/** The latest events of one history. */
export class EventLog {
  /** How many connections have the history open. */
  openers = 0;
  /** The offset of the latest event. */
  head = 0;
  /** Bytes of all events that are kept. */
  bytes = 0;
  // From `#first` on; entries before it are dropped and not cut off yet.
  #kept: (Kept | undefined)[] = [];
  #first = 0;

  constructor(
    readonly key: string,
    readonly epoch: string,
    /** Monotonic milliseconds of the last event, or of the last connection that left. */
    public usedAt: number,
  ) {}

  get size(): number {
    return this.#kept.length - this.#first;
  }

  /** The offset of the latest event that was dropped; 0 when none was. */
  get floor(): number {
    return this.head - this.size;
  }

  append(event: HistoryEvent, now: number): RecordedEvent {
    this.head += 1;
    this.usedAt = now;
    const bytes = Buffer.byteLength(event.body) + EVENT_OVERHEAD_BYTES;
    const kept: Kept = { ...event, offset: this.head, at: now, bytes };
    this.#kept.push(kept);
    this.bytes += bytes;
    return kept;
  }

  /** Drops the oldest event. */
  dropFirst(): void {
    const dropped = this.#kept[this.#first];
    if (!dropped) return;
    this.bytes -= dropped.bytes;
    this.#kept[this.#first] = undefined;
    this.#first += 1;
    if (this.#first * 2 < this.#kept.length || this.#first < 64) return;
    this.#kept = this.#kept.slice(this.#first);
    this.#first = 0;
  }

  /** Drops the events up to an instant, in monotonic milliseconds. */
  dropBefore(instant: number): void {
    for (;;) {
      const first = this.#kept[this.#first];
      if (!first || first.at > instant) return;
      this.dropFirst();
    }
  }

  /** Drops all events and keeps the head. */
  empty(): void {
    this.#kept = [];
    this.#first = 0;
    this.bytes = 0;
  }

  /** The next chunk of events after a position. */
  after(position: Position): Stretch {
    const { epoch, head, floor } = this;
    const isKnown = position.epoch === epoch && position.offset <= head;
    const isGap = !isKnown || position.offset < floor;
    const from = isGap ? floor : position.offset;
    const events = this.#chunk(from);
    return { epoch, head, isGap, events, end: from + events.length };
  }

  /** The head, with the critical events that are left. Without those for one connection. */
  critical(): Stretch {
    const { epoch, head } = this;
    const events = this.#kept.filter((kept): kept is Kept =>
      Boolean(kept?.isCritical && kept.onlyFor === undefined),
    );
    return { epoch, head, isGap: false, events, end: head };
  }

  #chunk(from: number): RecordedEvent[] {
    const events: RecordedEvent[] = [];
    let bytes = 0;
    for (let index = this.#first + from - this.floor; index < this.#kept.length; index += 1) {
      const kept = this.#kept[index]!;
      events.push(kept);
      bytes += kept.bytes;
      if (bytes >= CHUNK_BYTES) break;
    }
    return events;
  }
}
