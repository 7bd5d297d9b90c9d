import { IsolationError } from '../errors/isolation-error.js';
import { isThenable } from '../structures/maybe-async.js';

/** A handler returned a value that JSON cannot express. The client gets `INTERNAL_ERROR`. */
export class UnserializableAnswerError extends IsolationError {
  constructor(event: string, cause: TypeError) {
    const text = `The answer to "${event}" was not sent: ${cause.message} Several answers to one message are an Observable or an async iterable.`;
    super('UNSERIALIZABLE_ANSWER', text, { cause });
  }
}

/** The methods of generators and streams inside a result that will not be read. */
type Dangling = Partial<
  Record<'next' | 'return' | 'destroy' | 'cancel', (...args: unknown[]) => unknown>
>;

/** Releases a result that will not be read: ends generators and streams, and catches the rejection of a promise. */
export function letGo(answer: unknown): void {
  release(() => answer);
  release(() => (answer as { data?: unknown } | null | undefined)?.data);
}

function release(read: () => unknown): void {
  try {
    const value = read();
    if (typeof value !== 'object' || value === null) return;
    const ended = isThenable(value) ? value : end(value);
    // An unhandled rejection would end the process.
    if (isThenable(ended)) Promise.resolve(ended).catch(ignore);
  } catch {
    // It cannot be read, or not be ended. The unsent result is logged already.
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
