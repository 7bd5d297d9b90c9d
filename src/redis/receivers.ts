import type { HistoryEvent } from '../history/event-history.js';

// Ids contain no control characters, so these prefixes tell an exception from the id of a connection.
const EXCEPT_CONNECTION = '\u0001';
const EXCEPT_USER = '\u0002';

type Receivers = Pick<HistoryEvent, 'onlyFor' | 'except'>;

/** Formats which connections get an event, as its stream entry has it. Empty: all of them. */
export function receiversText({ onlyFor, except }: Receivers): string {
  if (onlyFor !== undefined || except === undefined) return onlyFor ?? '';
  return 'connectionId' in except
    ? EXCEPT_CONNECTION + except.connectionId
    : EXCEPT_USER + except.userId;
}

/** Parses a text of {@link receiversText}. */
export function readReceivers(text: string): Receivers {
  if (text === '') return {};
  const id = text.slice(1);
  if (text.startsWith(EXCEPT_CONNECTION)) return { except: { connectionId: id } };
  if (text.startsWith(EXCEPT_USER)) return { except: { userId: id } };
  return { onlyFor: text };
}
