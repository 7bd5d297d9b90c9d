import type { HistoryEvent } from '../history/event-history.js';

// Ids contain no control characters, so these prefixes tell excepted ones from the id of a connection.
const EXCEPT_CONNECTION = '\u0001';
const EXCEPT_USER = '\u0002';
const EXCEPTED = new RegExp(`([${EXCEPT_CONNECTION}${EXCEPT_USER}])(\\P{Cc}+)`, 'gu');

type Receivers = Pick<HistoryEvent, 'onlyFor' | 'except'>;

/** Formats which connections get an event, as its stream entry has it. Empty: all of them. */
export function receiversText({ onlyFor, except }: Receivers): string {
  if (onlyFor !== undefined || except === undefined) return onlyFor ?? '';
  const texts = except.map((each) =>
    'connectionId' in each ? EXCEPT_CONNECTION + each.connectionId : EXCEPT_USER + each.userId,
  );
  return texts.join('');
}

/** Parses a text of {@link receiversText}. */
export function readReceivers(text: string): Receivers {
  if (text === '') return {};
  const except = [...text.matchAll(EXCEPTED)].map(([, kind, id]) =>
    kind === EXCEPT_USER ? { userId: id! } : { connectionId: id! },
  );
  return except.length > 0 ? { except } : { onlyFor: text };
}
