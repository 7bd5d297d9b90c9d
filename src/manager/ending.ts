import { type Running, runningCode } from '../context/running-code.js';

/** Distinguishes code of a connection that awaits the end of connections from code that only started it. */
class Ending<T> extends Promise<T> {
  #caller: Running | undefined = undefined;

  // The promise that `then()` returns is a plain one: other code waits for it, not the caller.
  static override get [Symbol.species](): PromiseConstructor {
    return Promise;
  }

  static for<T>(caller: Running, ended: Promise<T>): Ending<T> {
    const ending = new Ending<T>((resolve, reject) => void ended.then(resolve, reject));
    ending.#caller = caller;
    return ending;
  }

  // oxlint-disable-next-line unicorn/no-thenable -- a promise is one already
  override then<Value = T, Failure = never>(
    onEnded?: ((value: T) => Value | PromiseLike<Value>) | null,
    onFailed?: ((reason: unknown) => Failure | PromiseLike<Failure>) | null,
  ): Promise<Value | Failure> {
    const goesOn = this.#caller?.waits();
    this.#caller = undefined;
    if (goesOn) void super.then(goesOn, goesOn);
    return super.then(onEnded, onFailed);
  }
}

/**
 * The end of connections, as the calling code awaits it. A handler, hook or disposer that awaits it may belong to one
 * of these connections, or to a connection that waits for one of them in turn. While it awaits, the end of its own
 * connection does not wait for it, so there is no deadlock.
 */
export function endingFor<T>(ended: Promise<T>): Promise<T> {
  const caller = runningCode();
  return caller ? Ending.for(caller, ended) : ended;
}
