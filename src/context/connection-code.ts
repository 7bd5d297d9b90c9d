import type { Running } from './running-code.js';
import type { UserExecutionContext } from './user-execution-context.js';

/** Waits for code of a connection to end. */
export interface Waiter {
  /** Leaves out code that itself waits for connections to end. @returns call it when the code waits no more */
  passOver(code: ConnectionCode): () => void;
  /** Aborted when the connection closes. */
  readonly signal: AbortSignal;
}

/**
 * Running code of a connection. Everything that the code starts has this object in its async context, and the process
 * may keep that for ever (a pool of sockets, a cached promise, a timer). Therefore this object leads to the connection
 * only until the code has ended.
 */
export class ConnectionCode implements Running {
  #controller: AbortController | undefined = undefined;

  constructor(
    readonly context: UserExecutionContext,
    /** `undefined` where the connection does not wait for the end of this code. */
    private waiter?: Waiter | undefined,
  ) {}

  /** Aborted when the client cancels the message, or the connection closes. Created on first use. */
  get signal(): AbortSignal {
    this.#controller ??= new AbortController();
    const { signal } = this.#controller;
    return this.waiter ? AbortSignal.any([signal, this.waiter.signal]) : signal;
  }

  /** The client has cancelled the message that this code handles. */
  cancel(reason: unknown): void {
    this.#controller ??= new AbortController();
    this.#controller.abort(reason);
  }

  waits(): () => void {
    return this.waiter?.passOver(this) ?? nothing;
  }

  /** The code has ended. What it has started may go on. */
  ended(): void {
    this.waiter = undefined;
  }
}

/** A running hook or disposer. The end of its connection does not wait for a step that waits for connections to end. */
export class ConnectionStep implements Running {
  #isWaiting = false;
  #passOver: (() => void) | undefined = undefined;

  constructor(readonly context: UserExecutionContext) {}

  waits(): () => void {
    this.#isWaiting = true;
    this.#passOver?.();
    return () => {
      this.#isWaiting = false;
    };
  }

  /** Resolves when the step has ended or waits for connections to end. `ended` must not reject. */
  left(ended: Promise<void>): Promise<void> | undefined {
    if (this.#isWaiting) return undefined;
    return new Promise((resolve) => {
      this.#passOver = resolve;
      void ended.then(resolve);
    });
  }
}

function nothing(): void {
  // The connection does not wait for the end of this code.
}
