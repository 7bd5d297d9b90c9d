import { ClientError, exceptionError } from './client.error.js';
import { encode, type Frame, PING_ID } from './message.js';
import type { Outbox, Outgoing } from './outbox.js';

/** What waits for the reply to a message with an id. It ends once. */
export interface Call {
  /** `stream`: goes on after a value. `again`: may be sent again if the connection is lost. `bound`: never waits. */
  readonly kind: 'once' | 'stream' | 'again' | 'bound';
  value(data: unknown): void;
  end(error?: ClientError): void;
}

/** Gives a call up: the server is told to cancel it. A second call does nothing. */
export type Cancel = () => void;

interface OpenCall {
  readonly call: Call;
  readonly item: Outgoing;
}

const LOST = 'The connection was lost.';
const FULL = 'Too much waits for a connection.';

/** The messages with an id that have no terminal reply yet. */
export class Calls {
  readonly #open = new Map<unknown, OpenCall>();
  #lastId = 0;

  constructor(
    private readonly outbox: Outbox,
    private readonly write: (text: string) => boolean,
  ) {}

  /** @throws {TypeError} for data that JSON cannot express */
  start(event: string, data: unknown, call: Call): Cancel {
    const id = this.#lastId + 1;
    const text = encode({ event, id, data });
    this.#lastId = id;
    const item = { text, drop: () => this.#end(id, new ClientError('QUEUE_FULL', FULL)) };
    this.#open.set(id, { call, item });
    if (call.kind !== 'bound') this.outbox.send(item);
    else if (!this.write(text)) this.#end(id, new ClientError('CONNECTION_LOST', LOST));
    return () => {
      const isOpen = this.#open.delete(id);
      const isSent = isOpen && !this.outbox.remove(item);
      if (isSent) this.write(`{"event":"cancel","id":${id}}`);
    };
  }

  /** Handles a frame that may be a reply. Returns whether it is one. */
  received(frame: Frame): boolean {
    const { event, data, id = idOf(frame) } = frame;
    if (id === undefined) return false;
    const open = this.#open.get(id);
    if (!open) return this.#isPast(id);
    if (event === 'exception') this.#refused(id, open.call, exceptionError(data));
    else if (!('data' in frame) && (event === 'ack' || event === 'complete')) this.#end(id);
    else {
      if (open.call.kind !== 'stream') this.#open.delete(id);
      open.call.value(event === undefined ? withoutId(frame) : data);
    }
    return true;
  }

  /** The connection has ended. */
  lost(): void {
    for (const [id, { call, item }] of this.#open) {
      if (this.outbox.isWaiting(item)) continue;
      if (call.kind === 'again') this.outbox.send(item);
      else this.#end(id, new ClientError('CONNECTION_LOST', LOST));
    }
  }

  close(error: ClientError): void {
    for (const id of this.#open.keys()) this.#end(id, error);
  }

  // The reply to a call that was given up, or to a ping.
  #isPast(id: unknown): boolean {
    return id === PING_ID || (typeof id === 'number' && id <= this.#lastId);
  }

  // A server that closes refuses what it has not handled to the end. Such a call is sent again after the close.
  #refused(id: unknown, call: Call, error: ClientError): void {
    if (error.code !== 'CLOSING' || call.kind !== 'again') this.#end(id, error);
  }

  #end(id: unknown, error?: ClientError): void {
    const open = this.#open.get(id);
    this.#open.delete(id);
    open?.call.end(error);
  }
}

// The id of an `exception` is in its data, unless the app has chosen the data itself.
function idOf({ event, data }: Frame): unknown {
  return event === 'exception' ? (data as { id?: unknown } | null)?.id : undefined;
}

// A handler may reply with an object of its own shape.
function withoutId({ id: _id, ...value }: Frame): unknown {
  return value;
}
