import type { IncomingMessage } from 'node:http';

import { isObservable, lastValueFrom } from 'rxjs';

import { InvalidAnswerError } from '../errors/invalid-answer.js';
import { isThenable } from '../structures/maybe-async.js';

/**
 * Decides whether a request proceeds to authentication. Throws, or rejects with, a Nest `HttpException` to give the
 * reason of a refusal.
 */
export type VerifyRequest = (request: IncomingMessage) => boolean | Promise<boolean>;

/**
 * Calls a function of the app that decides about a request; all such calls go through here. The function may return a
 * value, a promise or an observable. `read` validates the result before it is used, and throws for an invalid one.
 *
 * Throws, or rejects with, what the function or `read` throws. The caller is responsible for the deadline.
 */
export function askApp<T>(call: () => unknown, read: (answer: unknown) => T): T | Promise<T> {
  return settled(call(), read);
}

function settled<T>(answer: unknown, read: (answer: unknown) => T): T | Promise<T> {
  if (isThenable(answer)) return Promise.resolve(answer).then((value) => settled(value, read));
  return isObservable(answer) ? lastValueFrom(answer).then(read) : read(answer);
}

/** Validates a boolean result. Only `true` means yes: a text such as `'no'` is truthy as well. */
export function yesOrNo(asked: string): (answer: unknown) => boolean {
  return (answer) => {
    if (typeof answer === 'boolean') return answer;
    throw new InvalidAnswerError(asked, 'true or false', answer);
  };
}
