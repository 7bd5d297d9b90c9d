import { NoActiveContextError } from '../context/context.errors.js';
import type { Running } from '../context/running-code.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';

/**
 * The construction of a scope. Node.js 20 keeps the last promise of a scope that Nest creates in memory, and with it
 * the async-context store in which the promise was created. So this store references the connection's context only
 * weakly.
 */
export class ConstructionRun implements Running {
  readonly #context: WeakRef<UserExecutionContext>;

  constructor(context: UserExecutionContext) {
    this.#context = new WeakRef(context);
  }

  get context(): UserExecutionContext {
    const context = this.#context.deref();
    if (!context) throw new NoActiveContextError();
    return context;
  }

  waits(): () => void {
    return nothing;
  }
}

function nothing(): void {
  // The end of a connection does not wait for constructors.
}
