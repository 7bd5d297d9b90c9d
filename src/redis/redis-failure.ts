/** A script answered what it never answers: what it found in Redis was written by something else. */
export class UnreadableReplyError extends Error {
  override readonly name = 'UnreadableReplyError';

  constructor(what: string) {
    super(`Redis answered what could not be read (${what})`);
  }
}

/** Whether a command was not sent because there is no connection. */
export function isOffline(error: unknown): boolean {
  return error instanceof Error && /^The client is (?:offline|closed)$/.test(error.message);
}

const OTHER_KIND = /\bWRONGTYPE\b/;
/** A script stopped: before 7.0 Redis named scripts otherwise. */
const IN_SCRIPT = /\buser_script\b|Error running script/;
/** What concerns the server, or what this user of it may do. */
const SERVER_WIDE =
  /\b(OOM|READONLY|MISCONF|NOREPLICAS|NOPERM|NOAUTH|LOADING|MASTERDOWN|BUSY|CLUSTERDOWN|CROSSSLOT)\b|can't run this command|can't access|[Uu]nknown Redis command/;

/** Whether something else was written under a key: that key is in the way, and all others are well. */
export function concernsOneKey(error: unknown): boolean {
  if (error instanceof UnreadableReplyError) return true;
  if (!(error instanceof Error)) return false;
  const { message } = error;
  return OTHER_KIND.test(message) || (IN_SCRIPT.test(message) && !SERVER_WIDE.test(message));
}
