import { IsolationError } from '../errors/isolation-error.js';

/** One fault of a context: the field, and the rule that it breaks. */
export interface ContextFault {
  readonly field: string;
  readonly rule: string;
}

/**
 * The identity given for a connection or request breaks a rule, or a value given as a context was not made by this
 * library. Lists every fault, never the values.
 */
export class InvalidContextError extends IsolationError {
  constructor(
    readonly faults: readonly ContextFault[],
    options?: ErrorOptions,
  ) {
    const list = faults.map(({ field, rule }) => `${field} ${rule}`).join('; ');
    const isAboutIds = faults.some(({ field }) => field === 'identity' || field.endsWith('Id'));
    const advice = isAboutIds ? ' Let the authenticator return real, unique ids.' : '';
    super('INVALID_CONTEXT', `The execution context is not valid: ${list}.${advice}`, options);
  }
}

/** An expiry below this was given in seconds: as milliseconds it lies in the first months of 1970. */
const LATEST_AS_SECONDS = 1e10;

/** The authenticator returned an identity that has expired already. */
export class ExpiredIdentityError extends IsolationError {
  constructor(
    readonly userId: string,
    expiresAtMs: number,
  ) {
    const areSeconds = expiresAtMs > 0 && expiresAtMs < LATEST_AS_SECONDS;
    const doubt = areSeconds
      ? ': seconds instead of milliseconds? The exp of a token is in seconds: give expiresAt: exp * 1000.'
      : '. The authenticator should refuse it, for example by returning null.';
    super(
      'IDENTITY_EXPIRED',
      `The identity has expired at ${new Date(expiresAtMs).toISOString()}${doubt}`,
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

/** @throws {ExpiredIdentityError} when the identity of a context has expired at `now`, in epoch milliseconds */
export function assertNotExpired(
  { userId, expiresAt }: { readonly userId: string; readonly expiresAt: Date | undefined },
  now: number,
): void {
  const expiresAtMs = expiresAt?.getTime();
  if (expiresAtMs !== undefined && expiresAtMs <= now) {
    throw new ExpiredIdentityError(userId, expiresAtMs);
  }
}
