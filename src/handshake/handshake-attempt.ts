import type { Duplex } from 'node:stream';

import type { Release } from '../time/clock.js';
import { isThenable } from '../structures/maybe-async.js';
import { Link } from '../structures/linked-list.js';
import { CloseCode } from '../wire/close-codes.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { type Refusal, refusalOf } from './refusal.js';

/** What a handshake came to: a manager that waits for its socket, an answer, or nobody there any more. */
export type HandshakeOutcome =
  { readonly manager: WebSocketManager } | { readonly refusal: Refusal } | 'gone';

/** What becomes of a step that ends otherwise than expected. */
interface Otherwise<T> {
  /** The value came after the attempt was over: gives it back. */
  readonly tooLate?: (value: T) => void;
  /** Translates what the step failed with. */
  readonly failed?: (error: unknown) => unknown;
}

/**
 * One handshake on its way. It ends once: admitted, refused, out of time, or left by the client; what
 * comes in later is given back.
 */
export class HandshakeAttempt {
  /** Its place among the handshakes under way. */
  readonly link = new Link<HandshakeAttempt>(this);
  /** The manager once it exists; it goes with an attempt that fails. */
  manager: WebSocketManager | undefined = undefined;
  #controller: AbortController | undefined = undefined;
  #isOver = false;
  #stopWatching: Release | undefined = undefined;

  constructor(
    private readonly socket: Duplex,
    /** Monotonic milliseconds by which it has to be over. */
    readonly deadlineAt: number,
    private readonly onEnd: (attempt: HandshakeAttempt, outcome: HandshakeOutcome) => void,
  ) {}

  /** Aborted when the attempt fails. Made when asked for: a handshake without an authenticator never is. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /** Asks, and goes on as {@link wait} does. What the question throws refuses the handshake. */
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

  /** Goes on with a value when it is there, at once where it is; never when the attempt is over by then. */
  wait<T>(value: T | PromiseLike<T>, next: (value: T) => void, otherwise?: Otherwise<T>): void {
    if (!isThenable(value)) {
      this.#proceed(value, next, otherwise);
      return;
    }
    value.then(
      (ready) => this.#proceed(ready, next, otherwise),
      (error: unknown) => {
        // `Promise.reject()`: the log still has to say that something failed.
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
   * From now on the client's leaving ends the attempt. Nobody reads the socket yet, and a peer that hangs
   * up is noticed by reading only.
   */
  watchForGoodbye(): void {
    if (this.#isOver) return;
    const { socket } = this;
    const leave = (): void => this.#end('gone');
    if (socket.destroyed) return leave();
    const look = (): void => {
      // What is there to read is for the connection. With nothing there, reading finds the end, if any.
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

/** Lets a manager go that never got its socket. */
export function abandon(manager: WebSocketManager): void {
  void manager.beginClose(CloseCode.GOING_AWAY, 'handshake abandoned', 'network');
}
