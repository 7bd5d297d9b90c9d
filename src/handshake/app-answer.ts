import type { IncomingMessage } from 'node:http';

import { isObservable, lastValueFrom } from 'rxjs';

import { IsolationError } from '../errors/isolation-error.js';
import { kindOf } from '../errors/value-kind.js';
import { isThenable } from '../structures/maybe-async.js';

/** Whether a request may go on to authentication. Throws, or rejects with, a Nest `HttpException` to say why not. */
export type VerifyRequest = (request: IncomingMessage) => boolean | Promise<boolean>;

/** A function of the app answered something else than its question allows. It grants nothing. */
export class InvalidAnswerError extends IsolationError {
  /** @param asked the function, as the app names it; `expected` what it may answer */
  constructor(asked: string, expected: string, answer: unknown) {
    super(
      'INVALID_ANSWER',
      `${asked} answered ${describeValue(answer)}, which counts as a refusal. ` +
        `Return ${expected}, or a promise of it.`,
    );
  }
}

/**
 * Asks a function of the app: the one way in which this library does. It may answer at once, with a promise or
 * with an observable. `read` sees the answer before anything is done with it, and throws for nonsense.
 *
 * Throws, or rejects with, what the function or `read` throws. The caller owns the deadline.
 */
export function askApp<T>(call: () => unknown, read: (answer: unknown) => T): T | Promise<T> {
  return settled(call(), read);
}

function settled<T>(answer: unknown, read: (answer: unknown) => T): T | Promise<T> {
  if (isThenable(answer)) return Promise.resolve(answer).then((value) => settled(value, read));
  return isObservable(answer) ? lastValueFrom(answer).then(read) : read(answer);
}

/** Reads the answer to a question of yes or no. Only `true` is yes: a text such as `'no'` is true as well. */
export function yesOrNo(asked: string): (answer: unknown) => boolean {
  return (answer) => {
    if (typeof answer === 'boolean') return answer;
    throw new InvalidAnswerError(asked, 'true or false', answer);
  };
}

const LONGEST_SHOWN = 8;

/** A value for an error message: what it is. Not a long text itself, which may be a secret. */
export function describeValue(value: unknown): string {
  if (typeof value === 'string') {
    return value.length <= LONGEST_SHOWN ? `'${value}'` : `a text of ${value.length} characters`;
  }
  if (typeof value === 'function' || (typeof value === 'object' && value !== null)) {
    return kindOf(value);
  }
  return String(value);
}
