import { setImmediate as turn } from 'node:timers/promises';

import { runInContext } from '../context/running-code.js';
import type { HandlerOutcome } from '../journal/isolation-events.js';
import { type AnsweringConnection, answer } from './answers.js';
import type { RunningCall } from './running-call.js';

/** Items after which other connections get a turn, where a source never waits itself. */
const ITEMS_PER_TURN = 64;

/** A source of items that are pulled: an async generator, any async iterable, a web or a Node stream. */
export type PullableSource = AsyncIterable<unknown>;

/** Whether a handler returned a stream that is pulled. */
export function isPullable(value: unknown): value is PullableSource {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value;
}

/** The connection that streams belong to. */
export interface StreamingConnection extends AnsweringConnection {
  /** A handler, or its stream, has failed. */
  fail(error: unknown, call: RunningCall): void;
  /** The call will send nothing more. */
  over(call: RunningCall, outcome: HandlerOutcome): void;
  /** The end of a stream has thrown. */
  streamFailed(error: unknown): void;
}

/**
 * Sends the items of one source. An item is pulled only while the client's socket owes little, so a source of any length
 * to a reader of any speed takes little memory.
 */
export class PulledStream {
  readonly #iterator: AsyncIterator<unknown>;
  #isStopped = false;
  #stopping: Promise<void> | undefined = undefined;
  #isOver = false;

  constructor(
    private readonly connection: StreamingConnection,
    source: PullableSource,
    private readonly call: RunningCall,
    private readonly ended: (stream: PulledStream) => void,
  ) {
    this.#iterator = source[Symbol.asyncIterator]();
  }

  /** Pulls until the source ends or the stream is stopped. Never rejects. */
  async run(): Promise<void> {
    const { connection, call } = this;
    let outcome: 'ok' | 'failed' = 'ok';
    try {
      // A source that has not ended by itself is ended, so that its `finally` runs.
      if (!(await this.#pullAll())) await this.stop();
      call.reply?.complete(call);
    } catch (error) {
      outcome = 'failed';
      if (!this.#isStopped) connection.fail(error, call);
    }
    this.#isOver = true;
    this.ended(this);
    connection.over(call, outcome);
  }

  /**
   * Stops pulling, and ends the source with `return()`, so that its `finally` runs. Waits for at most
   * `cleanup.disposeTimeoutMs`; a source that does not end by then is abandoned, and the leak report lists it.
   */
  stop(): Promise<void> | undefined {
    if (this.#isStopped || this.#isOver) return this.#stopping;
    this.#isStopped = true;
    const { manager } = this.connection;
    const label = `stream of ${String(this.call.message.event).slice(0, 64)}`;
    const end = (): unknown =>
      runInContext(this.call.code, () => this.#iterator.return?.(), undefined);
    this.#stopping = manager.runStep(label, end, (_outcome, error) => {
      if (error !== undefined) this.connection.streamFailed(error);
    });
    return this.#stopping;
  }

  // Resolves to whether the source has ended by itself.
  async #pullAll(): Promise<boolean> {
    const { manager, services } = this.connection;
    const { streamLowWaterBytes } = services.options.outbound;
    for (let sent = 1; !this.#isStopped; sent += 1) {
      const { done, value } = await this.#iterator.next();
      // Stopped while the source made the item.
      if (this.#isStopped) return false;
      if (done) return true;
      const isSaid = answer(this.connection, value, this.call, true);
      // The client has got the reason, and nothing more follows.
      if (!isSaid) return false;
      if (manager.bufferedBytes >= streamLowWaterBytes) await manager.drained();
      else if (sent % ITEMS_PER_TURN === 0) await turn();
      if (!manager.mayAct) return false;
    }
    return false;
  }
}
