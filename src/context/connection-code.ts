import type { Running } from './running-code.js';
import type { UserExecutionContext } from './user-execution-context.js';

/** Waits for code of a connection to end. */
export interface Waiter {
  /** The code waits for connections to end itself. @returns it waits no more */
  passOver(code: ConnectionCode): () => void;
}

/**
 * Code of a connection that runs. Whatever it begins has this in its async context, for ever where the process keeps it (a
 * pool of sockets, a cached promise, a timer): so it leads to the connection only until that code has ended.
 */
export class ConnectionCode implements Running {
  constructor(
    readonly context: UserExecutionContext,
    /** `undefined`: its end is not waited for. */
    private waiter?: Waiter | undefined,
  ) {}

  waits(): () => void {
    return this.waiter?.passOver(this) ?? nothing;
  }

  /** It has ended; what it has begun may go on. */
  ended(): void {
    this.waiter = undefined;
  }
}

/** A hook or a disposer: the end of its connection goes on without it as long as it waits for connections to end itself. */
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

  /** Resolves when the step has ended, or waits for connections to end. `ended` must not reject. */
  left(ended: Promise<void>): Promise<void> | undefined {
    if (this.#isWaiting) return undefined;
    return new Promise((resolve) => {
      this.#passOver = resolve;
      void ended.then(resolve);
    });
  }
}

function nothing(): void {
  // Its end is not waited for.
}
