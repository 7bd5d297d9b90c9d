import type { Clock } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';

/** What {@link askWhileOpen} resolves to when the connection has closed before the answer came. */
export const CLOSED: unique symbol = Symbol('websocket-isolation:closed');

/**
 * Asks a function of the app on behalf of an open connection, for at most `timeoutMs`. An answer that comes later, or
 * after the connection has closed, is dropped.
 *
 * @param closed aborted when the connection closes
 * @param ask gets a signal that is aborted as soon as its answer is not wanted any more
 */
export async function askWhileOpen<T>(
  clock: Clock,
  timeoutMs: number,
  closed: AbortSignal,
  ask: (signal: AbortSignal) => T | PromiseLike<T>,
): Promise<T | typeof TIMED_OUT | typeof CLOSED> {
  const unwanted = new AbortController();
  // One listener that is removed again, and not `AbortSignal.any()`: a connection may ask for days.
  let onClosed!: () => void;
  const closing = new Promise<typeof CLOSED>((resolve) => {
    onClosed = () => {
      unwanted.abort(closed.reason);
      resolve(CLOSED);
    };
  });
  if (closed.aborted) onClosed();
  else closed.addEventListener('abort', onClosed);
  try {
    const answer = Promise.race([closing, Promise.resolve(ask(unwanted.signal))]);
    const outcome = await withDeadline(clock, timeoutMs, answer);
    if (outcome === TIMED_OUT) unwanted.abort(new Error(`no answer within ${timeoutMs} ms`));
    return outcome;
  } finally {
    closed.removeEventListener('abort', onClosed);
  }
}
