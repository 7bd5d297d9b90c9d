import type { Duplex } from 'node:stream';

import { isThenable } from '../manager/bounded-run.js';
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
  /** The manager once it exists; it goes with an attempt that fails. */
  manager: WebSocketManager | undefined = undefined;
  #controller: AbortController | undefined = undefined;
  #isOver = false;
  #isWatching = false;

  constructor(
    private readonly socket: Duplex,
    /** Monotonic milliseconds by which it has to be over. */
    readonly deadlineAt: number,
    private readonly onEnd: (attempt: HandshakeAttempt, outcome: HandshakeOutcome) => void,
  ) {
    socket.once('close', this.#leave);
  }

  /** Aborted when the attempt fails. Made when asked for: most authenticators never look at it. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    return this.#controller.signal;
  }

  /** Goes on with a value when it is there, at once where it is; never when the attempt is over by then. */
  wait<T>(
    value: T | PromiseLike<T>,
    next: (value: T) => void,
    { tooLate, failed = (error) => error }: Otherwise<T> = {},
  ): void {
    const proceed = (ready: T): void => {
      if (this.#isOver) {
        tooLate?.(ready);
        return;
      }
      try {
        next(ready);
      } catch (error) {
        this.refuse(error);
      }
    };
    if (!isThenable(value)) {
      proceed(value);
      return;
    }
    this.#watchForGoodbye();
    value.then(proceed, (error: unknown) => this.refuse(failed(error)));
  }

  admit(manager: WebSocketManager): void {
    this.#end({ manager });
  }

  refuse(error: unknown): void {
    this.#end({ refusal: refusalOf(error) });
  }

  // Nobody reads the socket yet, and a peer that hangs up is noticed by reading only.
  #watchForGoodbye(): void {
    if (this.#isWatching || this.#isOver) return;
    this.#isWatching = true;
    this.socket.on('readable', this.#look);
    this.socket.once('end', this.#hangUp);
  }

  readonly #look = (): void => {
    // What is there to read is for the connection. With nothing there, reading finds the end, if any.
    if (this.socket.readableLength === 0) this.socket.read();
  };

  readonly #hangUp = (): void => void this.socket.destroy();

  readonly #leave = (): void => this.#end('gone');

  #end(outcome: HandshakeOutcome): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.socket.off('close', this.#leave);
    if (this.#isWatching) {
      this.socket.off('readable', this.#look);
      this.socket.off('end', this.#hangUp);
    }
    if (outcome === 'gone' || !('manager' in outcome)) {
      this.#controller?.abort(outcome === 'gone' ? outcome : outcome.refusal.reason);
      if (this.manager) abandon(this.manager);
    }
    this.onEnd(this, outcome);
  }
}

/** Lets a manager go that never got its socket. */
export function abandon(manager: WebSocketManager): void {
  void manager.beginClose(1001, 'handshake abandoned', 'network');
}
