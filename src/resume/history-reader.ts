import { pauseAfter } from '../time/back-off.js';
import type { Clock, Release } from '../time/clock.js';
import { runOutsideContext } from '../context/running-code.js';
import type { Frame } from '../wire/write-frame.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import type { Write } from '../manager/fan-out.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { HistoryKey } from '../history/history-key.js';
import { type Position, positioned } from '../history/position.js';
import {
  CHUNK_BYTES,
  type EventHistory,
  isExcepted,
  isFor,
  type RecordedEvent,
  type Stretch,
} from '../history/event-history.js';

/** Back-off between attempts to read the history. */
const BACK_OFF = { firstMs: 200, longestMs: 5_000 };
/** Milliseconds between checks of whether a client has read the events sent so far. */
const DRAIN_CHECK_MS = 20;

/** The status that the `resume` event sends to a client. */
export type ResumeStatus = 'live' | 'recovered' | 'gap';

/** Services that all readers of one kind share: those of threads, or those of topics. */
export interface ReaderServices<Key extends HistoryKey> {
  readonly history: EventHistory<Key>;
  readonly clock: Clock;
  /** Where a client without a position begins: after these events, which it gets, at the head. */
  newcomer(key: Key): Stretch | Promise<Stretch>;
  /** Sends the status to the client. @param missed how many events a recovered client is about to get */
  tell(reader: HistoryReader<Key>, status: ResumeStatus, position: Position, missed?: number): void;
  /** The connection may have missed events; the client has received the status `gap`. */
  gap(manager: WebSocketManager): void;
  /** The history could not be read; the read is retried. */
  failed(reader: HistoryReader<Key>, error: unknown): void;
}

/**
 * The position of one connection in one history. Sends only the event that comes next; when events in between are
 * missing, it reads them from the history first. It needs no memory for events that arrive meanwhile, because they are
 * in the history too.
 */
export class HistoryReader<Key extends HistoryKey> {
  #state: 'waiting' | 'reading' | 'live' | 'left' = 'waiting';
  #position: Position | undefined;
  /** Position of the first event since the connection began, while it waits. */
  #firstHeard: Position | undefined;
  /** Position of the latest event since reading began. */
  #heard: Position | undefined;
  /** Whether the client has received its status: live, recovered or gap. */
  #isTold = false;
  #wasLive = false;
  #wake: (() => void) | undefined;

  constructor(
    private readonly host: ReaderServices<Key>,
    readonly manager: WebSocketManager,
    readonly key: Key,
    /** The last position of the client; `undefined` for a new client. */
    readonly requested: Position | undefined,
    private readonly release: Release,
  ) {}

  /** The connection is ready: sends the events that it missed, then new ones as they arrive. */
  start(): void {
    if (this.#state === 'waiting') this.#readOutside();
  }

  /** The connection is closing. */
  leave(): void {
    if (this.#state === 'left') return;
    this.#state = 'left';
    this.#wake?.();
    this.release();
  }

  /**
   * Handles an event of the history. Returns `undefined` when the event is not for this connection, or was sent already.
   *
   * @param at its position: one object for all readers
   */
  hear(at: Position, event: RecordedEvent, frame: Frame, write: Write): DeliveryResult | undefined {
    const before = this.#position;
    if (this.#state === 'live' && before?.epoch === at.epoch) {
      if (at.offset <= before.offset) return undefined;
      if (at.offset === before.offset + 1) {
        this.#position = at;
        return isFor(event, this.manager.context) ? write(this.manager, frame) : undefined;
      }
    }
    this.#firstHeard ??= at;
    this.#heard = at;
    this.checkAgain();
    return 'queued';
  }

  /** Events may have been missed: continues to read from the connection's position. */
  checkAgain(): void {
    if (this.#state === 'live') this.#readOutside();
  }

  // Outside the context of the handler that sent the event, or that let another connection join.
  #readOutside(): void {
    runOutsideContext(() => void this.#read(), undefined);
  }

  // Reads from the position to the head, in chunks that the client's socket can take.
  async #catchUp(): Promise<void> {
    this.#position ??= this.requested ?? (await this.#placeOfNewcomer());
    for (let isBehind = true; isBehind;) {
      this.#heard = undefined;
      const stretch = await this.host.history.read(this.key, this.#position);
      if (this.#state === 'left') return;
      this.#tellHow(stretch, this.#position);
      for (const event of stretch.events) {
        if (this.#isDue(event)) this.#send(stretch.epoch, event);
      }
      this.#position = { epoch: stretch.epoch, offset: stretch.end };
      isBehind = stretch.end < stretch.head || this.#hasHeardBeyond(this.#position);
      if (isBehind) await this.#drained();
    }
    this.#state = 'live';
    this.#wasLive = true;
  }

  // A new client starts at the head.
  async #placeOfNewcomer(): Promise<Position> {
    const { epoch, head, events } = await this.host.newcomer(this.key);
    const offset = this.#firstHeard?.epoch === epoch ? this.#firstHeard.offset - 1 : head;
    for (const event of events) {
      if (event.offset <= offset) this.#send(epoch, event);
    }
    this.#tell('live', { epoch, offset });
    return { epoch, offset };
  }

  #tellHow({ isGap, epoch, head, events, end }: Stretch, from: Position): void {
    if (isGap) {
      this.#tell('gap', { epoch, offset: end - events.length });
      this.host.gap(this.manager);
    } else if (!this.#isTold) {
      this.#tell('recovered', from, head - from.offset);
    }
  }

  // A client that resumes also gets the events that were for one earlier connection.
  #isDue(event: RecordedEvent): boolean {
    const { context } = this.manager;
    if (isFor(event, context)) return true;
    if (isExcepted(context, event.except)) return false;
    return this.requested !== undefined && !this.#wasLive;
  }

  #hasHeardBeyond({ epoch, offset }: Position): boolean {
    const heard = this.#heard;
    return heard !== undefined && (heard.epoch !== epoch || heard.offset > offset);
  }

  #send(epoch: string, event: RecordedEvent): void {
    this.manager.sendFrame(positioned(event.body, { epoch, offset: event.offset }));
  }

  #tell(status: ResumeStatus, position: Position, missed?: number): void {
    if (this.#state === 'left') return;
    this.#isTold = true;
    this.host.tell(this, status, position, missed);
  }

  // Back-pressure: a slow client gets no more for now. Events that it has not read stay in the history.
  async #drained(): Promise<void> {
    while (this.#state === 'reading' && this.manager.bufferedBytes > CHUNK_BYTES) {
      await this.#pause(DRAIN_CHECK_MS);
    }
  }

  async #read(): Promise<void> {
    this.#state = 'reading';
    for (let failures = 1; this.#state === 'reading'; failures += 1) {
      try {
        await this.#catchUp();
        return;
      } catch (error) {
        this.host.failed(this, error);
        await this.#pause(pauseAfter(failures, BACK_OFF));
      }
    }
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const release = this.host.clock.after(ms, resolve);
      this.#wake = () => {
        release();
        resolve();
      };
    });
  }
}
