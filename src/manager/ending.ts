import { type Running, runningCode } from '../context/running-code.js';

/** Tells code of a connection that waits for the end of connections from code that only began it. */
class Ending<T> extends Promise<T> {
  #caller: Running | undefined = undefined;

  // What `then()` returns is waited for by others.
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
 * The end of connections, for the caller. A handler, hook or disposer that awaits it may belong to one of these
 * connections, or to one that waits for this one in turn: as long as it waits, its own connection's end does not wait
 * for it.
 */
export function endingFor<T>(ended: Promise<T>): Promise<T> {
  const caller = runningCode();
  return caller ? Ending.for(caller, ended) : ended;
}
