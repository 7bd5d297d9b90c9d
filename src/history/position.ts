import { createHash, randomBytes } from 'node:crypto';

/** A place in the history of a thread. */
export interface Position {
  /** Which history: a new one begins where the old one is lost, and begins with the mark of its user. */
  readonly epoch: string;
  /** How many events it had, this one included. */
  readonly offset: number;
}

const MARK_LENGTH = 8;
const WRITTEN = /^([\w-]{9,64})\.(\d{1,15})$/;

/** As frames carry it: `epoch.offset`. */
export function formatPosition({ epoch, offset }: Position): string {
  return `${epoch}.${offset}`;
}

/** What {@link formatPosition} wrote; `undefined` for any other text. */
export function parsePosition(text: string): Position | undefined {
  const [, epoch, offset] = WRITTEN.exec(text) ?? [];
  return epoch === undefined ? undefined : { epoch, offset: Number(offset) };
}

/** A name for a new history of a user. */
export function createEpoch(userId: string): string {
  return markOf(userId) + randomBytes(9).toString('base64url');
}

/** Whether a position was given to this user. Somebody else's opens nothing: it is found out, no more. */
export function isOwnPosition({ epoch }: Position, userId: string): boolean {
  return epoch.startsWith(markOf(userId));
}

function markOf(userId: string): string {
  // In UTF-16, as it is: UTF-8 has one form for all halves of surrogate pairs.
  return createHash('sha256').update(userId, 'utf16le').digest('base64url').slice(0, MARK_LENGTH);
}

/** The frame of an event with its place in the thread: `{"event", "data", "position"}`. */
export function positioned(body: string, position: Position): string {
  return `${body.slice(0, -1)},"position":"${formatPosition(position)}"}`;
}
