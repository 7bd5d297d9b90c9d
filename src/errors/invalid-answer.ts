import { IsolationError } from './isolation-error.js';
import { kindOf } from './value-kind.js';

/** A function of the app returned a value that it must not return. The value counts as a refusal. */
export class InvalidAnswerError extends IsolationError {
  /** @param asked the function, as the app names it; `expected` the values it may return */
  constructor(asked: string, expected: string, answer: unknown, isAwaited = true) {
    super(
      'INVALID_ANSWER',
      `${asked} returned ${describeValue(answer)}, which counts as a refusal. ` +
        `Return ${expected}${isAwaited ? ', or a promise of it' : '; a promise is not awaited'}.`,
    );
  }
}

const LONGEST_SHOWN = 8;

/** Describes a value for an error message. A long text is not included: it may be a secret. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') {
    return value.length <= LONGEST_SHOWN ? `'${value}'` : `a text of ${value.length} characters`;
  }
  if (typeof value === 'function' || (typeof value === 'object' && value !== null)) {
    return kindOf(value);
  }
  return String(value);
}
