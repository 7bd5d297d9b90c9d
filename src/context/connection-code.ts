import type { Running } from './running-code.js';
import type { UserExecutionContext } from './user-execution-context.js';

/** Waits for code of a connection to end. */
export interface Waiter {
  /** Leaves out code that itself waits for connections to end. @returns call it when the code waits no more */
  passOver(code: ConnectionCode): () => void;
}

/**
 * Running code of a connection. Everything that the code starts has this object in its async context, and the process
 * may keep that for ever (a pool of sockets, a cached promise, a timer). Therefore this object leads to the connection
 * only until the code has ended.
 */
export class ConnectionCode implements Running {
  constructor(
    readonly context: UserExecutionContext,
    /** `undefined` where the connection does not wait for the end of this code. */
    private waiter?: Waiter | undefined,
  ) {}

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
