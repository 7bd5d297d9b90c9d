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
