import { UnreadableReplyError } from './redis-failure.js';

/** An entry in the log of revocations. */
export interface LogEntry {
  readonly id: string;
  readonly at: string;
  readonly by: string;
  readonly what: string;
}

/** The result of a look at the log. */
export interface Look {
  /** Epoch milliseconds by the clock of Redis. */
  readonly now: number;
  /** Whether entries are gone that this node has not read. */
  readonly isMissed: boolean;
  /** Whether entries that this node has added are gone. */
  readonly isOwnLost: boolean;
  /** The id of the last entry. */
  readonly last: string;
  readonly entries: readonly LogEntry[];
}

/** Reads the reply of the script `LOOK`. @throws {UnreadableReplyError} */
export function readLook(reply: unknown): Look {
  const parts = Array.isArray(reply) ? (reply as unknown[]).map(String) : [];
  const [now, isMissed, isOwnLost, last] = parts;
  if (last === undefined) throw new UnreadableReplyError('the log of revocations');
  const entries: LogEntry[] = [];
  for (let index = 4; index + 3 < parts.length; index += 4) {
    const [id, at, by, what] = parts.slice(index, index + 4) as [string, string, string, string];
    entries.push({ id, at, by, what });
  }
  const flags = { isMissed: isMissed === '1', isOwnLost: isOwnLost === '1' };
  return { now: Number(now), ...flags, last, entries };
}

/** The result of adding to the log. */
export interface Added {
  /** The id of the entry. */
  readonly id: string;
  /** Epoch milliseconds by the clock of Redis at which the revocation was made. */
  readonly at: string;
  /** Each node that is alive, and its number of receivers. */
  readonly nodes: readonly unknown[];
}

/** Reads the reply of the script `ADD`. @throws {UnreadableReplyError} */
export function readAdded(reply: unknown): Added {
  const [id, at, ...nodes] = Array.isArray(reply) ? (reply as unknown[]) : [];
  if (typeof id !== 'string') throw new UnreadableReplyError('a revocation');
  return { id, at: String(at), nodes };
}

/** Whether a stream id comes before another one. An id is milliseconds and a number within the same millisecond. */
export function isBefore(one: string, other: string): boolean {
  const [oneMs = 0, oneNumber = 0] = one.split('-').map(Number);
  const [otherMs = 0, otherNumber = 0] = other.split('-').map(Number);
  return oneMs === otherMs ? oneNumber < otherNumber : oneMs < otherMs;
}
