import { pauseAfter } from '../time/back-off.js';
import type { Clock, Release } from '../time/clock.js';
import { runOutsideContext } from '../context/running-code.js';
import { encodeFrame, type Frame } from '../wire/frame-encoding.js';
import type { DeliveryResult } from '../wire/delivery-result.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { type Position, positioned } from '../history/position.js';
import {
  CHUNK_BYTES,
  type RecordedEvent,
  type Stretch,
  type ThreadHistory,
} from '../history/thread-history.js';

/** Between attempts to read. */
const BACK_OFF = { firstMs: 200, longestMs: 5_000 };
/** How often it is looked whether a client has read what it missed. */
const DRAIN_CHECK_MS = 20;

/** What the `resume` event tells a client. */
export type ResumeStatus = 'live' | 'recovered' | 'gap';

/** What readers share. */
export interface ReaderServices {
  readonly history: ThreadHistory;
  readonly clock: Clock;
  /** Events may have passed this connection by; the client has been told. */
  gap(manager: WebSocketManager): void;
  /** The history could not be read; it is tried again. */
  failed(manager: WebSocketManager, error: unknown): void;
}

/**
 * One connection's place in its thread. Sends what comes next and nothing else; where something is
 * between, it reads that from the history first. Needs no memory for what comes meanwhile: that is in
 * the history too.
 */
export class ThreadReader {
  #state: 'waiting' | 'reading' | 'live' | 'left' = 'waiting';
  #position: Position | undefined;
  /** The first event since the connection began, while it waits. */
  #firstHeard: Position | undefined;
  /** The latest event since reading began. */
  #heard: Position | undefined;
  /** Whether the client knows how it stands: new, recovered, or with a gap. */
  #isTold = false;
  #wasLive = false;
  #wake: (() => void) | undefined;

  constructor(
    private readonly host: ReaderServices,
    private readonly manager: WebSocketManager,
    /** Up to where the client had got; `undefined` for one that is new. */
    private readonly requested: Position | undefined,
    private readonly release: Release,
  ) {}

  /** The connection is ready: what it missed, then what comes. */
  start(): void {
    if (this.#state === 'waiting') void this.#read();
  }

  /** The connection is closing. */
  leave(): void {
    if (this.#state === 'left') return;
    this.#state = 'left';
    this.#wake?.();
    this.release();
  }

  /** An event of the thread; `undefined` when it is not for this connection. */
  hear(epoch: string, event: RecordedEvent, frame: Frame): DeliveryResult | undefined {
    const at = this.#position;
    if (this.#state === 'live' && at?.epoch === epoch) {
      if (event.offset <= at.offset) return undefined;
      if (event.offset === at.offset + 1) return this.#take(epoch, event, frame);
    }
    this.#firstHeard ??= { epoch, offset: event.offset };
    this.#heard = { epoch, offset: event.offset };
    this.checkAgain();
    return 'queued';
  }

  /** Events may have come that were not heard: reads on from where the connection is. */
  checkAgain(): void {
    // Not in the context of the handler that has sent what is read.
    if (this.#state === 'live') runOutsideContext(ThreadReader.#readOn, this);
  }

  // From the position on to where the thread is, in pieces that the client's socket can take.
  async #catchUp(): Promise<void> {
    this.#position ??= this.requested ?? (await this.#placeOfNewcomer());
    for (let isBehind = true; isBehind;) {
      this.#heard = undefined;
      const stretch = await this.host.history.read(this.manager.context, this.#position);
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

  // Behind what happened before it came, but for what is critical.
  async #placeOfNewcomer(): Promise<Position> {
    const { epoch, head, events } = await this.host.history.readCritical(this.manager.context);
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

  // What was meant for one connection is for whoever resumes after it, too.
  #isDue(event: RecordedEvent): boolean {
    return isFor(event, this.manager) || (this.requested !== undefined && !this.#wasLive);
  }

  #hasHeardBeyond({ epoch, offset }: Position): boolean {
    const heard = this.#heard;
    return heard !== undefined && (heard.epoch !== epoch || heard.offset > offset);
  }

  #take(epoch: string, event: RecordedEvent, frame: Frame): DeliveryResult | undefined {
    this.#position = { epoch, offset: event.offset };
    return isFor(event, this.manager) ? this.manager.sendFrame(frame) : undefined;
  }

  #send(epoch: string, event: RecordedEvent): void {
    this.manager.sendFrame(positioned(event.body, { epoch, offset: event.offset }));
  }

  #tell(status: ResumeStatus, position: Position, missed?: number): void {
    this.#isTold = true;
    const body = encodeFrame('resume', { status, ...(missed !== undefined && { missed }) })!;
    this.manager.sendFrame(positioned(body, position));
  }

  // A client that takes its time is not pushed: what it has not read stays in the history.
  async #drained(): Promise<void> {
    while (this.#state === 'reading' && this.manager.bufferedBytes > CHUNK_BYTES) {
      await this.#pause(DRAIN_CHECK_MS);
    }
  }

  static readonly #readOn = (reader: ThreadReader): void => void reader.#read();

  async #read(): Promise<void> {
    this.#state = 'reading';
    for (let failures = 1; this.#state === 'reading'; failures += 1) {
      try {
        await this.#catchUp();
        return;
      } catch (error) {
        this.host.failed(this.manager, error);
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

function isFor({ onlyFor }: RecordedEvent, manager: WebSocketManager): boolean {
  return onlyFor === undefined || onlyFor === manager.context.connectionId;
}
