import { setImmediate as turn } from 'node:timers/promises';

import { runInContext } from '../context/running-code.js';
import type { HandlerOutcome } from '../journal/isolation-events.js';
import type { GatheredWrites } from '../wire/gathered-writes.js';
import { answer } from './answers.js';
import type { RunningCall } from './running-call.js';
import type { RecordedConnection, StreamRecord } from './stream-record.js';

/** Items after which other connections get a turn, where a source never waits itself. */
const ITEMS_PER_TURN = 64;

/** A source of items that are pulled: an async generator, any async iterable, a web or a Node stream. */
export type PullableSource = AsyncIterable<unknown>;

/** Whether a handler returned a stream that is pulled. */
export function isPullable(value: unknown): value is PullableSource {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** The connection that streams belong to. */
export interface StreamingConnection extends RecordedConnection {
  /** Whether a message that guards and pipes let through may start. False if the connection is closing. */
  mayStartNow(call: RunningCall): boolean;
  /** A handler, or its stream, has failed. */
  fail(error: unknown, call: RunningCall): void;
  /** The call will send nothing more. */
  over(call: RunningCall, outcome: HandlerOutcome): void;
  /** The end of a stream has thrown. */
  streamFailed(error: unknown): void;
}

/** What keeps the pulled streams of a connection. */
export interface PulledStreams {
  /** The stream sends nothing more. Its source has ended, or is abandoned. */
  finished(stream: PulledStream): void;
  /** The source has ended. */
  gone(stream: PulledStream): void;
}

/**
 * Sends the items of one source. An item is pulled only while the client's socket owes little, so a source of any length
 * to a reader of any speed takes little memory.
 */
export class PulledStream {
  #iterator: AsyncIterator<unknown> | undefined = undefined;
  // Both never reject.
  #pulling: Promise<unknown> = Promise.resolve();
  #returned: Promise<unknown> = Promise.resolve();
  /** Ends the wait for the reader. */
  #stopWaiting: (() => void) | undefined = undefined;
  #isStopped = false;
  #stopping: Promise<void> | undefined = undefined;
  #isOver = false;

  constructor(
    private readonly connection: StreamingConnection,
    private readonly source: PullableSource,
    private readonly call: RunningCall,
    readonly record: StreamRecord,
    private readonly owner: PulledStreams,
  ) {}

  /** Pulls until the source ends or the stream is stopped. Resolves when the source has ended. Never rejects. */
  async run(): Promise<void> {
    const pulling = this.#pullAll();
    this.#pulling = pulling.catch(nothing);
    try {
      // A source that has not ended by itself is ended, so that its `finally` runs.
      if (!(await pulling)) await this.stop();
    } catch (error) {
      if (!this.#isStopped) this.#fail(error);
    }
    this.#finish();
    await this.#returned;
    this.owner.gone(this);
  }

  /**
   * Stops pulling, and ends the source with `return()`, so that its `finally` runs. Waits for at most
   * `cleanup.disposeTimeoutMs`; a source that does not end by then is abandoned, and the leak report lists it.
   */
  stop(): Promise<void> | undefined {
    if (this.#isStopped || this.#isOver) return this.#stopping;
    this.#isStopped = true;
    this.#stopWaiting?.();
    const { manager } = this.connection;
    const ended = manager.runStep(
      this.record.label,
      () => this.#return(),
      (_outcome, error) => {
        if (error !== undefined) this.connection.streamFailed(error);
      },
    );
    this.#stopping = ended?.then(() => this.#finish());
    return this.#stopping;
  }

  // Waits for `next()` too: a source without `return()` ends with the item that it makes.
  async #return(): Promise<void> {
    const end = async (): Promise<unknown> => this.#iterator?.return?.();
    const returned = runInContext(this.call.code, end, undefined);
    this.#returned = returned.catch(nothing);
    await Promise.all([returned, this.#pulling]);
  }

  #fail(error: unknown): void {
    this.record.ends('failed', error);
    this.connection.fail(error, this.call);
  }

  #finish(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const { call } = this;
    call.reply?.complete(call);
    this.record.ended();
    this.owner.finished(this);
    this.connection.over(call, 'ok');
  }

  // A stream that is stopped does not wait for a reader that may never read again.
  #reader(): Promise<void> {
    return new Promise((resolve) => {
      this.#stopWaiting = resolve;
      void this.connection.manager.drained().then(resolve);
    });
  }

  // Waits for the reader, or lets other connections have a turn.
  #pauseAfter(sent: number, writes: GatheredWrites | undefined): Promise<void> | undefined {
    const { manager, services } = this.connection;
    const { streamLowWaterBytes } = services.options.outbound;
    if (manager.bufferedBytes >= streamLowWaterBytes) {
      writes?.flush();
      if (manager.bufferedBytes >= streamLowWaterBytes) return this.#reader();
    }
    return sent % ITEMS_PER_TURN === 0 ? turn() : undefined;
  }

  // Resolves to whether the source has ended by itself.
  async #pullAll(): Promise<boolean> {
    const { manager } = this.connection;
    const writes = manager.gatheredWrites();
    // Throws where a stream has another reader already.
    const iterator = this.source[Symbol.asyncIterator]();
    this.#iterator = iterator;
    for (let sent = 1; !this.#isStopped; sent += 1) {
      const { done, value } = await iterator.next();
      // Stopped while the source made the item.
      if (this.#isStopped) return false;
      if (done) return true;
      writes?.hold();
      if (!answer(this.connection, value, this.call, true, 'pulled')) {
        // The client has got the reason, and nothing more follows.
        this.record.ends('failed', new TypeError('an item that JSON cannot express'));
        return false;
      }
      this.record.items += 1;
      const pause = this.#pauseAfter(sent, writes);
      if (pause) await pause;
      if (!manager.mayAct) return false;
    }
    return false;
  }
}

function nothing(): void {
  // The failure is handled where the promise is awaited.
}
