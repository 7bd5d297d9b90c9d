import { IsolationError } from './isolation-error.js';

/** One thing that is wrong with a context: which field, and the rule it breaks. */
export interface ContextFault {
  readonly field: string;
  readonly rule: string;
}

/** The identity given for a connection or request breaks a rule. Lists every fault, never the values. */
export class InvalidContextError extends IsolationError {
  constructor(
    readonly faults: readonly ContextFault[],
    options?: ErrorOptions,
  ) {
    const list = faults.map(({ field, rule }) => `${field} ${rule}`).join('; ');
    super(
      'INVALID_CONTEXT',
      `The execution context is not valid: ${list}. Let the authenticator return real, unique ids.`,
      options,
    );
  }
}

/** `UserExecutionContext.current()` was called where no handler is running. */
export class NoActiveContextError extends IsolationError {
  constructor() {
    super(
      'NO_ACTIVE_CONTEXT',
      'There is no active execution context: this code does not run inside a gateway handler. ' +
        'Inject UserExecutionContext, or pass the context as a parameter.',
    );
  }
}
