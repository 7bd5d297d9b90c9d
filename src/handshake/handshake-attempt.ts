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

/**
 * One step of a handshake. A constant, and not closures of each handshake: those were a tenth of what a connection
 * allocates.
 */
export interface HandshakeStep<Subject, T> {
  /** Starts the step. An error that it throws, or rejects with, refuses the handshake. */
  readonly run: (subject: Subject) => T | PromiseLike<T>;
  /** Goes on with the value: synchronously, or when its promise resolves. */
  readonly next: (subject: Subject, value: T) => void;
  /** Translates an error of {@link run}. Default: the error itself. */
  readonly failed?: (error: unknown, subject: Subject) => unknown;
  /** Releases a value that arrived after the attempt was over. */
  readonly tooLate?: (value: T) => void;
}

/** Knows the request of a handshake, and is told how the handshake has ended. */
export interface HandshakeOwner {
  /** The address of the client. */
  address(): string | undefined;
  /** The sealed epoch of the thread to which the client comes back, if it does. */
  returningTo(): string | undefined;
  handshakeEnded(outcome: HandshakeOutcome): void;
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
    private readonly owner: HandshakeOwner,
  ) {}

  /** Aborted when the attempt fails. Created on first use: a handshake without an authenticator needs none. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /** Takes a step. Its `next` is never called when the attempt is over by then. */
  take<Subject, T>(step: HandshakeStep<Subject, T>, subject: Subject): void {
    let value: T | PromiseLike<T>;
    try {
      value = step.run(subject);
    } catch (error) {
      this.#fail(error, step, subject);
      return;
    }
    if (!isThenable(value)) {
      this.#goOn(value, step, subject);
      return;
    }
    value.then(
      (ready) => this.#goOn(ready, step, subject),
      // `Promise.reject()` has no reason: the log still needs an error.
      (error: unknown) => this.#fail(error ?? new Error(`rejected with ${error}`), step, subject),
    );
  }

  #goOn<Subject, T>(value: T, step: HandshakeStep<Subject, T>, subject: Subject): void {
    if (this.#isOver) {
      step.tooLate?.(value);
      return;
    }
    try {
      step.next(subject, value);
    } catch (error) {
      this.refuse(error);
    }
  }

  #fail<Subject, T>(error: unknown, step: HandshakeStep<Subject, T>, subject: Subject): void {
    let reason = error;
    try {
      if (step.failed) reason = step.failed(error, subject);
    } catch (unreadable) {
      // To read an error of the app is to run code of the app: its getters.
      reason = unreadable;
    }
    this.refuse(reason);
  }

  admit(manager: WebSocketManager): void {
    this.#end({ manager });
  }

  refuse(error: unknown): void {
    this.refuseWith(refusalOf(error));
  }

  refuseWith(refusal: Refusal): void {
    this.#end({ refusal });
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
    this.link.remove();
    this.#stopWatching?.();
    if (outcome === 'gone' || !('manager' in outcome)) {
      this.#controller?.abort(outcome === 'gone' ? outcome : outcome.refusal.reason);
      if (this.manager) abandon(this.manager);
    }
    try {
      this.owner.handshakeEnded(outcome);
    } catch (error) {
      // The attempt is over, so no other code would end the socket.
      this.socket.destroy();
      throw error;
    }
  }
}

/** Closes a manager that never got its socket. */
export function abandon(manager: WebSocketManager): void {
  void manager.beginClose(CloseCode.GOING_AWAY, 'handshake abandoned', 'network');
}
