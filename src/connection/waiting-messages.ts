import type { WebSocket } from 'ws';

import { runOutsideContext } from '../context/running-code.js';
import type { HeldTraffic } from '../cluster/cluster-slots.js';
import type { HandlerRef } from '../handlers/isolated-server.js';
import { MessageQueue } from '../structures/message-queue.js';
import type { ConnectionServices } from './connection-services.js';
import type { InboundMessage } from '../wire/message-parser.js';

/** A message that waits for its handler. */
export interface WaitingMessage {
  readonly message: InboundMessage;
  readonly refs: readonly HandlerRef[];
  readonly bytes: number;
}

/** Counted for each waiting message in addition to its bytes, so that a million empty messages are bounded too. */
const MESSAGE_OVERHEAD_BYTES = 64;
/** Reading pauses when this share of `inbound.maxPendingBytes` waits, and resumes at half of it. */
const PAUSE_AT = 1 / 4;
/**
 * The same while the client may have to be heard at once: the handlers that would make room may be waiting for its
 * answer, and it may cancel a stream. Both pass by the messages that wait.
 */
const PAUSE_LATE_AT = 3 / 4;

/** The connection whose messages wait. */
export interface WaitingConnection extends HeldTraffic {
  readonly services: ConnectionServices;
  readonly client: WebSocket;
  readonly manager: {
    readonly isActive: boolean;
    readonly mayAct: boolean;
    readonly isAsked: boolean;
    isReadingPaused: boolean;
    seen(): void;
    attempt<Socket>(act: (socket: Socket) => void, socket: Socket): void;
  };
  /** Handlers that run at this moment. */
  readonly running: number;
  /** Whether the connect hooks have ended. */
  readonly isReady: boolean;
  /** The open streams that handlers have returned. */
  readonly openStreams: readonly unknown[];
  /** Returns whether the identity has expired; if so, closes the connection. */
  isExpired(): boolean;
  /** Calls the handlers of a message. */
  start(message: InboundMessage, refs: readonly HandlerRef[]): void;
  /** Called when too many bytes wait in the process and this connection is among those that hold the most. */
  overload(): void;
}

/**
 * The messages of one connection that wait for a handler, in order and bounded in bytes. Back-pressure: reading pauses
 * long before the bound. Made for the first message that has to wait.
 */
export class WaitingMessages {
  readonly #queue = new MessageQueue<WaitingMessage>();
  #bytes = 0;
  #isStarting = false;

  constructor(private readonly connection: WaitingConnection) {}

  get size(): number {
    return this.#queue.size;
  }

  /** Whether this object can be dropped: no message waits, and no handler is being started. */
  get isDone(): boolean {
    return this.size === 0 && !this.#isStarting;
  }

  /** Bytes of the messages that wait for a handler. */
  get waitingBytes(): number {
    return this.#bytes;
  }

  overload(): void {
    this.connection.overload();
  }

  /** Adds a message to the end. Returns false if that would exceed `inbound.maxPendingBytes`. */
  add(message: InboundMessage, refs: readonly HandlerRef[], frameBytes: number): boolean {
    const { services, manager } = this.connection;
    const waiting = { message, refs, bytes: frameBytes + MESSAGE_OVERHEAD_BYTES };
    if (this.#bytes + waiting.bytes > services.options.inbound.maxPendingBytes) return false;
    this.#queue.push(waiting);
    this.#bytes += waiting.bytes;
    services.pending.add(this, waiting.bytes);
    // The bytes may have exceeded the budget of the process, which then closed this connection.
    if (!manager.isActive) return true;
    if (this.connection.isReady && !this.#isFresh) services.leases.hold(this.connection);
    if (this.#bytes >= this.#pauseFrom && !manager.isReadingPaused) {
      manager.isReadingPaused = true;
      manager.attempt(pauseReading, this.connection.client);
    }
    return true;
  }

  /** Starts as many handlers as may run. Call it when a handler has ended, and when the connection is ready. */
  startNext(): void {
    // A handler that ends synchronously frees its place, and so calls this method, inside the loop that is starting it.
    if (!this.connection.isReady || this.#isStarting) return;
    const { services } = this.connection;
    if (this.size > 0 && !this.#isFresh) return services.leases.hold(this.connection);
    this.#isStarting = true;
    this.#startQueued();
    this.#isStarting = false;
    if (this.size === 0) this.#forget();
    const { isReadingPaused } = this.connection.manager;
    if (isReadingPaused && this.#bytes <= this.#pauseFrom / 2) this.#resumeReading();
  }

  /** The client has to be heard at once, although messages wait: reads on where there is room for more. */
  readOn(): void {
    if (this.#bytes < this.#pauseFrom) this.#resumeReading();
  }

  /** Removes all messages, because the connection is closing, and returns them. */
  drop(): WaitingMessage[] {
    const dropped = this.#queue.takeAll();
    this.#forget();
    // The close frame of the peer has to be read.
    this.#resumeReading();
    return dropped;
  }

  #startQueued(): void {
    const { connection } = this;
    const { concurrency } = connection.services.options.inbound;
    while (connection.running < concurrency && connection.manager.mayAct) {
      if (connection.isExpired()) return;
      const waiting = this.#queue.shift();
      if (!waiting) return;
      this.#bytes -= waiting.bytes;
      connection.start(waiting.message, waiting.refs);
    }
  }

  /** Waiting bytes from which reading pauses. Lower while much of the budget of the process is used. */
  get #pauseFrom(): number {
    const { services, manager, openStreams } = this.connection;
    const share = manager.isAsked || openStreams.length > 0 ? PAUSE_LATE_AT : PAUSE_AT;
    return Math.min(services.options.inbound.maxPendingBytes * share, services.pending.share);
  }

  get #isFresh(): boolean {
    const { clock, leases } = this.connection.services;
    return clock.now() < leases.freshUntil;
  }

  #forget(): void {
    this.#bytes = 0;
    this.connection.services.pending.delete(this);
  }

  #resumeReading(): void {
    const { manager, client } = this.connection;
    if (!manager.isReadingPaused) return;
    manager.isReadingPaused = false;
    // While reading was paused, the peer's pongs could not be heard, so its silence proves nothing.
    manager.seen();
    manager.attempt(resumeReading, client);
  }
}

function pauseReading(client: WebSocket): void {
  client.pause();
}

function resumeReading(client: WebSocket): void {
  // Outside of the handler's async context: later messages have nothing to do with the handler that has made room.
  runOutsideContext(resume, client);
}

function resume(client: WebSocket): void {
  client.resume();
}
