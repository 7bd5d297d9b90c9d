import { AsyncLocalStorage } from 'node:async_hooks';

/** Code of a connection that runs: a handler, a hook, a step of the connection's end. */
export interface Running {
  /** As whom it runs: a `UserExecutionContext`, which imports this file. */
  readonly context: object;
  /**
   * It waits for connections to end, perhaps for its own: until then the end of its connection must not wait for it.
   *
   * @returns it waits no more
   */
  waits(): () => void;
}

const running = new AsyncLocalStorage<Running | undefined>();

/**
 * Runs code of a connection, so that `UserExecutionContext.current()` answers with its context. With one argument,
 * and not any number of them: every message passes here, and each list of arguments is an array.
 */
export function runInContext<Argument, Result>(
  run: Running,
  fn: (argument: Argument) => Result,
  argument: Argument,
): Result {
  return running.run(run, fn, argument);
}

/** Runs a function, and whatever it begins, outside of any context. */
export function runOutsideContext<Argument, Result>(
  fn: (argument: Argument) => Result,
  argument: Argument,
): Result {
  // Not with `exit()`: before Node.js 24 that switches the storage off for the whole process, and code of a connection
  // that runs inside switches it on again with the context that was to be left.
  return running.run(undefined, fn, argument);
}

/** The code of a connection that is calling; `undefined` where other code calls. */
export function runningCode(): Running | undefined {
  return running.getStore();
}
