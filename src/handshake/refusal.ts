import { STATUS_CODES } from 'node:http';

import type { HandshakeOptions } from '../config/handshake-options.js';
import { spreadFrom } from '../time/back-off.js';
import { CloseCode } from '../wire/close-codes.js';
import { ExpiredIdentityError, InvalidContextError } from '../context/context.errors.js';
import { httpStatusOf } from '../errors/http-status.js';
import {
  ClusterUnavailableError,
  IsolationViolationError,
  ManagerClosedError,
  ManagerLimitError,
} from '../manager/manager.errors.js';

/** Least `retryAfterMs` of a refusal without a queue, in milliseconds. */
const RETRY_AFTER_MS = 5_000;

/** Why a handshake is refused, as counters and logs name it. A closed set. */
export type RefusalReason =
  | 'starting'
  | 'draining'
  | 'origin'
  | 'invalid-path'
  | 'pending-cap'
  | 'address-limit'
  | 'address-rate'
  | 'connect-rate'
  | 'event-loop'
  | 'unauthorized'
  | 'forbidden'
  | 'auth-failed'
  | 'timeout'
  | 'invalid-context'
  | 'user-limit'
  | 'process-limit'
  | 'cluster-unavailable'
  | 'scope-failed';

/** The response to a refused handshake, as an HTTP status and as a close code. */
export interface Refusal {
  readonly reason: RefusalReason;
  readonly status: number;
  readonly code: number;
  /** Milliseconds after which a retry may succeed. */
  readonly retryAfterMs?: number | undefined;
  /** For the log only. */
  readonly userId?: string | undefined;
  readonly error?: unknown;
}

const ANSWERS: Readonly<Record<RefusalReason, readonly [status: number, code: number]>> = {
  starting: [503, CloseCode.OVERLOADED],
  draining: [503, CloseCode.OVERLOADED],
  origin: [403, CloseCode.FORBIDDEN],
  'invalid-path': [400, CloseCode.POLICY_VIOLATION],
  'pending-cap': [503, CloseCode.OVERLOADED],
  'address-limit': [429, CloseCode.TOO_MANY_CONNECTIONS],
  'address-rate': [429, CloseCode.TOO_MANY_CONNECTIONS],
  'connect-rate': [503, CloseCode.OVERLOADED],
  'event-loop': [503, CloseCode.OVERLOADED],
  unauthorized: [401, CloseCode.UNAUTHORIZED],
  forbidden: [403, CloseCode.FORBIDDEN],
  'auth-failed': [500, CloseCode.SERVER_ERROR],
  timeout: [408, CloseCode.HANDSHAKE_TIMEOUT],
  'invalid-context': [400, CloseCode.POLICY_VIOLATION],
  'user-limit': [429, CloseCode.TOO_MANY_CONNECTIONS],
  'process-limit': [503, CloseCode.OVERLOADED],
  'cluster-unavailable': [503, CloseCode.OVERLOADED],
  'scope-failed': [500, CloseCode.SERVER_ERROR],
};

/** All refusal reasons. */
export const REFUSAL_REASONS: readonly RefusalReason[] = Object.freeze(
  Object.keys(ANSWERS) as RefusalReason[],
);

/** Another process can serve these clients at once. A proxy tries it after a 503, but not after a 101. */
const SERVED_ELSEWHERE: ReadonlySet<RefusalReason> = new Set(['starting', 'draining']);

/** Whether a client is refused with an HTTP status or with a close code. */
export function refusalWay(
  rejectWith: HandshakeOptions['rejectWith'],
  { reason }: Refusal,
): 'http' | 'close' {
  if (rejectWith !== 'close-behind-proxy') return rejectWith;
  return SERVED_ELSEWHERE.has(reason) ? 'http' : 'close';
}

type RefusalDetails = Partial<Omit<Refusal, 'reason'>>;

/** Not an error: a process under load refuses many arrivals, and collecting a stack is a good part of what one costs. */
export function refusalFor(reason: RefusalReason, details?: RefusalDetails): Refusal {
  const [status, code] = ANSWERS[reason];
  return { reason, status, code, ...details };
}

/** Thrown inside a handshake to end it with a refusal. */
export class HandshakeRefused extends Error {
  readonly refusal: Refusal;

  constructor(reason: RefusalReason, details?: RefusalDetails) {
    super(reason);
    this.refusal = refusalFor(reason, details);
  }
}

/**
 * A refusal after which a retry may succeed.
 *
 * @param retryAfterMs default: 5 to 10 s at random, so that clients that are refused together do not come back together
 */
export function refusedForNow(
  reason: RefusalReason,
  retryAfterMs: number = spreadFrom(RETRY_AFTER_MS),
): Refusal {
  return refusalFor(reason, { retryAfterMs: Math.ceil(retryAfterMs) });
}

/** The application has not bootstrapped yet. */
export function starting(): Refusal {
  return refusedForNow('starting');
}

/** The process is shutting down. */
export function draining(): Refusal {
  return refusedForNow('draining');
}

/** The refusal for an error that ended a handshake. Never throws, whatever the error is. */
export function refusalOf(error: unknown): Refusal {
  try {
    return refusalByClass(error);
  } catch {
    return refusalFor('auth-failed', { error });
  }
}

function refusalByClass(error: unknown): Refusal {
  if (error instanceof HandshakeRefused) return error.refusal;
  if (error instanceof InvalidContextError) {
    return refusalFor('invalid-context', { error });
  }
  if (error instanceof ExpiredIdentityError) {
    const { userId } = error;
    return refusalFor('unauthorized', { userId, error });
  }
  if (error instanceof IsolationViolationError) {
    return refusalFor('forbidden', { error });
  }
  if (error instanceof ManagerLimitError) {
    const { userId, retryAfterMs, scope } = error;
    const reason: RefusalReason = scope === 'user' ? 'user-limit' : 'process-limit';
    return refusalFor(reason, { userId, retryAfterMs });
  }
  if (error instanceof ClusterUnavailableError) {
    const { retryAfterMs } = error;
    return refusalFor('cluster-unavailable', { retryAfterMs });
  }
  // The process, or code of the app, closed the manager before it was connected: the client may try again.
  if (error instanceof ManagerClosedError) {
    return draining();
  }
  return refusalFor('auth-failed', { error });
}

/** The part of a refusal that the client receives: never the cause. */
function publicAnswer({ reason, retryAfterMs }: Refusal): Record<string, unknown> {
  return { reason, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/** The reason text of a close frame: JSON, short enough for the frame. */
export function closeReasonText(refusal: Refusal): string {
  return JSON.stringify(publicAnswer(refusal));
}

/** The refusal as a complete HTTP/1.1 response. */
export function httpAnswer(refusal: Refusal): string {
  const { status, retryAfterMs } = refusal;
  const message = STATUS_CODES[status] ?? 'Error';
  const body = JSON.stringify({ statusCode: status, message, ...publicAnswer(refusal) });
  const headers = [
    `HTTP/1.1 ${status} ${message}`,
    'Connection: close',
    'Content-Type: application/json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    ...(retryAfterMs === undefined ? [] : [`Retry-After: ${Math.ceil(retryAfterMs / 1000)}`]),
  ];
  return `${headers.join('\r\n')}\r\n\r\n${body}`;
}

/**
 * The refusal for an error of the authenticator: 401 and 403 have their own reasons, any other HTTP status is passed
 * on.
 */
export function authenticationRefused(error: unknown): HandshakeRefused {
  const status = httpStatusOf(error);
  if (status === 401) return new HandshakeRefused('unauthorized', { error: causeOf(error) });
  if (status === 403) return new HandshakeRefused('forbidden', { error: causeOf(error) });
  if (status === undefined || !Number.isInteger(status) || status < 400 || status > 599) {
    return new HandshakeRefused('auth-failed', { error });
  }
  return new HandshakeRefused('auth-failed', { status, code: codeOfStatus(status), error });
}

// An exception of Nest contains little more than its status; its cause may contain the reason.
function causeOf(error: unknown): unknown {
  return (error as { cause?: unknown }).cause ?? error;
}

function codeOfStatus(status: number): number {
  if (status === 408) return CloseCode.HANDSHAKE_TIMEOUT;
  if (status === 429) return CloseCode.TOO_MANY_CONNECTIONS;
  if (status === 503) return CloseCode.OVERLOADED;
  return status >= 500 ? CloseCode.SERVER_ERROR : CloseCode.POLICY_VIOLATION;
}
