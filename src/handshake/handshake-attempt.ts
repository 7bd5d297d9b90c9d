import type { Duplex } from 'node:stream';

import type { Release } from '../time/clock.js';
import { isThenable } from '../structures/maybe-async.js';
import { Link } from '../structures/linked-list.js';
import { CloseCode } from '../wire/close-codes.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { type Refusal, refusalOf } from './refusal.js';

/**
 * The outcome of a handshake: a manager that waits for its socket, a refusal, or `'gone'` if the client has
 * disconnected.
 */
export type HandshakeOutcome =
  { readonly manager: WebSocketManager } | { readonly refusal: Refusal } | 'gone';

/** Handles a step that ends otherwise than expected. */
interface Otherwise<T> {
  /** The value arrived after the attempt was over: releases it. */
  readonly tooLate?: (value: T) => void;
  /** Translates the error with which the step failed. */
  readonly failed?: (error: unknown) => unknown;
}

/**
 * One handshake in progress. It ends once: admitted, refused, timed out, or left by the client. Values that arrive
 * later are released.
 */
export class HandshakeAttempt {
  /** Its place in the list of pending handshakes. */
  readonly link = new Link<HandshakeAttempt>(this);
  /** The manager, once it exists. If the attempt fails, the manager is closed. */
  manager: WebSocketManager | undefined = undefined;
  #controller: AbortController | undefined = undefined;
  #isOver = false;
  #stopWatching: Release | undefined = undefined;

  constructor(
    private readonly socket: Duplex,
    /** Monotonic milliseconds of the deadline. */
    readonly deadlineAt: number,
    private readonly onEnd: (attempt: HandshakeAttempt, outcome: HandshakeOutcome) => void,
  ) {}

  /** Aborted when the attempt fails. Created on first use: a handshake without an authenticator needs none. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /** Calls `question`, and continues as {@link wait} does. An error of `question` refuses the handshake. */
  ask<T>(
    question: () => T | PromiseLike<T>,
    next: (value: T) => void,
    failed: (error: unknown) => unknown,
  ): void {
    let answer: T | PromiseLike<T>;
    try {
      answer = question();
    } catch (error) {
      this.refuse(failed(error));
      return;
    }
    this.wait(answer, next, { failed });
  }

  /** Calls `next` with a value: synchronously, or when its promise resolves. Never when the attempt is over by then. */
  wait<T>(value: T | PromiseLike<T>, next: (value: T) => void, otherwise?: Otherwise<T>): void {
    if (!isThenable(value)) {
      this.#proceed(value, next, otherwise);
      return;
    }
    value.then(
      (ready) => this.#proceed(ready, next, otherwise),
      (error: unknown) => {
        // `Promise.reject()` has no reason: the log still needs an error.
        const reason = error ?? new Error(`rejected with ${error}`);
        this.refuse(otherwise?.failed ? otherwise.failed(reason) : reason);
      },
    );
  }

  #proceed<T>(ready: T, next: (value: T) => void, otherwise: Otherwise<T> | undefined): void {
    if (this.#isOver) {
      otherwise?.tooLate?.(ready);
      return;
    }
    try {
      next(ready);
    } catch (error) {
      this.refuse(error);
    }
  }

  admit(manager: WebSocketManager): void {
    this.#end({ manager });
  }

  refuse(error: unknown): void {
    this.#end({ refusal: refusalOf(error) });
  }

  /**
   * From now on, the attempt ends when the client disconnects. No code reads the socket yet, and a disconnect is
   * noticed only by reading.
   */
  watchForGoodbye(): void {
    if (this.#isOver) return;
    const { socket } = this;
    const leave = (): void => this.#end('gone');
    if (socket.destroyed) return leave();
    const look = (): void => {
      // Bytes that are buffered are for the connection. With an empty buffer, reading finds the end of the stream, if
      // any.
      if (socket.readableLength === 0) socket.read();
    };
    const hangUp = (): void => void socket.destroy();
    socket.once('close', leave);
    socket.on('readable', look);
    socket.once('end', hangUp);
    this.#stopWatching = () => {
      socket.off('close', leave);
      socket.off('readable', look);
      socket.off('end', hangUp);
    };
  }

  #end(outcome: HandshakeOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stopWatching?.();
    if (outcome === 'gone' || !('manager' in outcome)) {
      this.#controller?.abort(outcome === 'gone' ? outcome : outcome.refusal.reason);
      if (this.manager) abandon(this.manager);
    }
    this.onEnd(this, outcome);
  }
}

/** Closes a manager that never got its socket. */
export function abandon(manager: WebSocketManager): void {
  void manager.beginClose(CloseCode.GOING_AWAY, 'handshake abandoned', 'network');
}
