import { AsyncLocalStorage } from 'node:async_hooks';

/** Running code of a connection: a handler, a hook, a step of the connection's end. */
export interface Running {
  /** The `UserExecutionContext` of the connection. Its file imports this one, hence the type. */
  readonly context: object;
  /**
   * Call it when the code begins to wait for connections to end, perhaps for its own. Meanwhile the end of its
   * connection must not wait for the code.
   *
   * @returns call it when the code waits no more
   */
  waits(): () => void;
}

const running = new AsyncLocalStorage<Running | undefined>();

/**
 * Runs code of a connection, so that `UserExecutionContext.current()` returns its context. Takes one argument, and not
 * any number of them: every message passes here, and each list of arguments would be an array.
 */
export function runInContext<Argument, Result>(
  run: Running,
  fn: (argument: Argument) => Result,
  argument: Argument,
): Result {
  return running.run(run, fn, argument);
}

/** Runs a function, and everything that it starts, outside of any context. */
export function runOutsideContext<Argument, Result>(
  fn: (argument: Argument) => Result,
  argument: Argument,
): Result {
  // Not with `exit()`: before Node.js 24, `exit()` switches the storage off for the whole process, and connection code
  // that runs inside switches it on again with the context that was to be left.
  return running.run(undefined, fn, argument);
}

/** The connection code that calls this; `undefined` for a call from other code. */
export function runningCode(): Running | undefined {
  return running.getStore();
}
