import type { ClusterFailure } from '../cluster/cluster-status.js';
import { isDenied } from './permissions.js';
import { RedisTimeoutError } from './redis-deadline.js';

/**
 * A script returned a reply of another shape than its own: another program has written the data that it found in Redis.
 */
export class UnreadableReplyError extends Error {
  override readonly name = 'UnreadableReplyError';

  constructor(what: string) {
    super(`Redis sent a reply that could not be read (${what})`);
  }
}

/** Whether a command was not sent because there is no connection. */
export function isOffline(error: unknown): boolean {
  return error instanceof Error && /^The client is (?:offline|closed)$/.test(error.message);
}

const OTHER_KIND = /\bWRONGTYPE\b/;
/** The error of a script: the first form is that of Redis 7.0 and later, the second that of earlier versions. */
const IN_SCRIPT = /\buser_script\b|Error running script/;
/** Errors that concern the whole server, or the rights of the user of Redis. */
const SERVER_WIDE =
  /\b(OOM|READONLY|MISCONF|NOREPLICAS|NOPERM|NOAUTH|LOADING|MASTERDOWN|BUSY|CLUSTERDOWN|CROSSSLOT)\b|can't run this command|can't access|[Uu]nknown Redis command/;

/** Whether an error means that another program has written under a key. Only that key is affected. */
export function concernsOneKey(error: unknown): boolean {
  if (error instanceof UnreadableReplyError) return true;
  if (!(error instanceof Error)) return false;
  const { message } = error;
  return OTHER_KIND.test(message) || (IN_SCRIPT.test(message) && !SERVER_WIDE.test(message));
}

/** Messages are sent faster than Redis takes them. */
export class BacklogError extends Error {
  override readonly name = 'BacklogError';

  constructor(bytes: number) {
    super(`more than ${bytes} bytes of messages wait for Redis`);
  }
}

/** By the text, because the client may be one that the app has made with its own copy of `redis`. */
const BY_TEXT: readonly (readonly [RegExp, ClusterFailure])[] = [
  [/^(?:NOAUTH|WRONGPASS)\b/, 'denied'],
  [/^[A-Z]{2,} /, 'error-reply'],
  [/\btimeout\b/i, 'timeout'],
  [/^The client is |^Socket |^Disconnects client|root nodes/, 'connection'],
];

const BY_CLASS = [
  [RedisTimeoutError, 'timeout'],
  [UnreadableReplyError, 'unreadable'],
  [BacklogError, 'backlog'],
] as const;

/** Why a command failed. */
export function failureOf(error: unknown): ClusterFailure {
  if (!(error instanceof Error)) return 'other';
  // One error for each address that was tried.
  if (error instanceof AggregateError && error.errors.length > 0) return failureOf(error.errors[0]);
  const own = BY_CLASS.find(([type]) => error instanceof type);
  if (own) return own[1];
  return isDenied(error) ? 'denied' : failureIn(error);
}

function failureIn(error: Error): ClusterFailure {
  const said = BY_TEXT.find(([text]) => text.test(error.message));
  if (said) return said[1];
  // Errors of the operating system have a code: ECONNREFUSED, ENOTFOUND.
  const { code } = error as { code?: unknown };
  return typeof code === 'string' && /^E[A-Z]/.test(code) ? 'connection' : 'other';
}
