import { parsePosition, type Position } from '../history/position.js';
import type { RecordedEvent, Stretch } from '../history/event-history.js';
import { readReceivers } from './receivers.js';
import { isFrameText } from './message-shapes.js';
import { UnreadableReplyError } from './redis-failure.js';

/** Reads the reply of `READ`: epoch, head, gap and end of the history, then four parts for each event. */
export function readStretch(reply: unknown): Stretch {
  if (!Array.isArray(reply)) throw new UnreadableReplyError('a history');
  const [epoch, head, gap, end, ...parts] = reply as unknown[];
  const events: RecordedEvent[] = [];
  for (let index = 0; index < parts.length; index += 4) {
    events.push(readEvent(parts.slice(index, index + 4)));
  }
  return {
    epoch: readEpoch(epoch),
    head: readOffset(head),
    isGap: gap === 1,
    end: readOffset(end),
    events,
  };
}

/** Reads the reply of `TOUCH`. Returns `undefined` for a history that Redis does not know. */
export function readPlace(reply: unknown): Position | undefined {
  const [epoch, offset] = Array.isArray(reply) ? (reply as unknown[]) : [];
  if (epoch === null) return undefined;
  return { epoch: readEpoch(epoch), offset: readOffset(offset) };
}

function readEvent([offset, kind, receivers, body]: readonly unknown[]): RecordedEvent {
  if (!isFrameText(body)) throw new UnreadableReplyError('an event of a history');
  return {
    offset: readOffset(offset),
    isCritical: kind === 'c',
    ...readReceivers(readText(receivers)),
    body,
  };
}

// The epoch becomes part of frames, so its characters are checked.
function readEpoch(value: unknown): string {
  const epoch = readText(value);
  if (!parsePosition(`${epoch}.0`)) throw new UnreadableReplyError('a history');
  return epoch;
}

function readText(value: unknown): string {
  if (typeof value !== 'string') throw new UnreadableReplyError('a history');
  return value;
}

function readOffset(value: unknown): number {
  const offset =
    typeof value === 'string' || typeof value === 'number' ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(offset) || offset < 0) throw new UnreadableReplyError('a history');
  return offset;
}
