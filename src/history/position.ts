import { createHash, randomBytes } from 'node:crypto';

import { withField } from '../wire/frame-encoding.js';
import type { PositionSeal } from './position-seal.js';

/** A place in a history. */
export interface Position {
  /** Names one history. A new epoch begins where the old history is lost. It starts with the mark of its user, or that of topics. */
  readonly epoch: string;
  /** How many events the history had up to here, this one included. */
  readonly offset: number;
}

const MARK_LENGTH = 8;
const WRITTEN = /^([\w-]{9,64})\.(\d{1,15})$/;

/** Formats a position as frames carry it: `epoch.offset`. */
export function formatPosition({ epoch, offset }: Position): string {
  return `${epoch}.${offset}`;
}

/** Stands for a text that is not a position. Its epoch matches no history, so the client gets a gap. */
export const NOWHERE: Position = Object.freeze({ epoch: '', offset: 0 });

/** Parses a text of {@link formatPosition}; `undefined` for any other text. */
export function parsePosition(text: string): Position | undefined {
  const [, epoch, offset] = WRITTEN.exec(text) ?? [];
  return epoch === undefined ? undefined : { epoch, offset: Number(offset) };
}

/** The beginning of the epochs of topics. */
const TOPIC_MARK = 't-';
/** The mark, and 15 random bytes in base64url. */
const TOPIC_EPOCH_LENGTH = TOPIC_MARK.length + 20;

/** Whether a position was issued for a topic. */
export function isTopicPosition({ epoch }: Position): boolean {
  // The length tells it from the epoch of a user whose mark begins alike.
  return epoch.startsWith(TOPIC_MARK) && epoch.length === TOPIC_EPOCH_LENGTH;
}

/** Creates the epoch of a new history of a user, sealed. */
export function createEpoch(userId: string, seal: PositionSeal): string {
  return seal.sealed(markOf(userId) + randomBytes(9).toString('base64url'));
}

/** Creates the epoch of a new history of a topic. */
export function createTopicEpoch(): string {
  return TOPIC_MARK + randomBytes(15).toString('base64url');
}

/** Whether a position was issued to this user. A position of another user is refused with 4403 and reads nothing. */
export function isOwnPosition({ epoch }: Position, userId: string): boolean {
  return epoch.startsWith(markOf(userId));
}

function markOf(userId: string): string {
  // As UTF-16: UTF-8 encodes every lone surrogate as the same bytes, so that two ids could have one mark.
  return createHash('sha256').update(userId, 'utf16le').digest('base64url').slice(0, MARK_LENGTH);
}

/** The frame of an event with its position: `{"event", "data", "position"}`. */
export function positioned(body: string, position: Position): string {
  return withField(body, 'position', formatPosition(position));
}
