import type { Call, Cancel } from './calls.js';
import { ClientError } from './client.error.js';
import { inBounds } from './options.js';

/** Options of `client.request()`. */
export interface RequestOptions {
  /** Milliseconds until the request is given up, the wait for a connection included. Default: 10,000. */
  readonly timeoutMs?: number;
  /** Gives the request up: the promise rejects with the reason of the signal, and the server is told to cancel. */
  readonly signal?: AbortSignal;
  /**
   * The request may be handled twice without harm: if the connection is lost before the reply, it is sent again over
   * the next one, within `timeoutMs`. Default: false; then it is rejected with `CONNECTION_LOST`.
   */
  readonly idempotent?: boolean;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** Sends a message with an id, and resolves with the data of the reply. @param timedOut called as well */
export function request(
  start: (call: Call) => Cancel,
  event: string,
  { timeoutMs = DEFAULT_TIMEOUT_MS, signal, idempotent = false }: RequestOptions,
  timedOut: () => void,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    inBounds('timeoutMs', timeoutMs);
    signal?.throwIfAborted();
    const settle = (outcome: () => void): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
      outcome();
    };
    let cancel: Cancel | undefined;
    const giveUp = (error: unknown): void => {
      settle(() => reject(error));
      cancel?.();
    };
    const aborted = (): void => giveUp(signal?.reason);
    const timer = setTimeout(() => {
      giveUp(new ClientError('TIMEOUT', `No reply to "${event}" within ${timeoutMs} ms.`));
      timedOut();
    }, timeoutMs);
    signal?.addEventListener('abort', aborted);
    try {
      cancel = start({
        kind: idempotent ? 'again' : 'once',
        value: (reply) => settle(() => resolve(reply)),
        end: (error) => settle(() => (error ? reject(error) : resolve(undefined))),
      });
    } catch (error) {
      giveUp(error);
    }
  });
}
