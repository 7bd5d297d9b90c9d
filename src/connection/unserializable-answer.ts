import { IsolationError } from '../errors/isolation-error.js';

/** A handler has answered with something that JSON cannot express. The client is told of an internal error. */
export class UnserializableAnswerError extends IsolationError {
  constructor(event: string, cause: TypeError) {
    const text = `The answer to "${event}" was not sent: ${cause.message} Several answers to one message are an Observable.`;
    super('UNSERIALIZABLE_ANSWER', text, { cause });
  }
}

/** What may be waiting inside an answer that is not going to be read. */
type Dangling = Partial<
  Record<'next' | 'return' | 'destroy' | 'cancel', (...args: unknown[]) => unknown>
>;

/** Ends what would dangle, since nobody is going to read it: generators, streams, promises that may reject. */
export function letGo(answer: unknown): void {
  release(answer);
  if (typeof answer === 'object' && answer !== null) release((answer as { data?: unknown }).data);
}

function release(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  try {
    const ended = value instanceof Promise ? value : end(value);
    // What it fails with must not end the process.
    if (ended instanceof Promise) ended.catch(ignore);
  } catch {
    // The log says already that there was no answer.
  }
}

function end(value: Dangling & object): unknown {
  if (typeof value.next === 'function') return value.return?.();
  if (!(Symbol.asyncIterator in value)) return undefined;
  if (typeof value.cancel === 'function') return value.cancel();
  return value.destroy?.();
}

function ignore(): void {
  // Nothing to do.
}
