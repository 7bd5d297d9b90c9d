import { isThenable } from '../structures/maybe-async.js';
import { spreadFrom } from '../time/back-off.js';
import { retryReason } from '../wire/retry-after.js';
import { type InboundMessage, messageId } from '../wire/message-parser.js';
import { refusalFrame } from './reply.js';
import type { IgnoredReason } from './traffic-counters.js';

type MessageId = string | number;

/** The reply to a message that no handler gets, by the reason. */
const REPLIES = {
  'not-json': (id: MessageId) => refusalFrame('NOT_JSON', 'The message is not JSON.', id),
  'unknown-event': (id: MessageId) =>
    refusalFrame('UNKNOWN_EVENT', 'No gateway on this path handles this event.', id),
  'rate-limit': (id: MessageId) =>
    refusalFrame('RATE_LIMITED', 'The connection sends too many messages, and is closed.', id),
  'pending-overflow': (id: MessageId) =>
    refusalFrame('TOO_MANY_PENDING', 'Too many messages wait, and the connection is closed.', id),
} satisfies Partial<Record<IgnoredReason, (id: MessageId) => string>>;

const ROOM_MS = 5_000;

/** The close reason where too many bytes wait in the process: by then, handlers have made room. */
export function overloaded(): string {
  return retryReason(spreadFrom(ROOM_MS));
}

/** Why a message is refused. */
export type RefusedReason = keyof typeof REPLIES;

/** The reply to a message that no handler gets; `undefined` where the message has no id. */
export function ignoredFrame(
  reason: RefusedReason,
  message: { readonly id?: unknown },
): string | undefined {
  const id = messageId(message);
  return id === undefined ? undefined : REPLIES[reason](id);
}

const ID = /"id"\s*:\s*("(?:[^"\\]|\\.){0,1024}"|-?\d{1,16}(?:\.\d{1,16})?)\s*[,}]/;

/** The id in a frame that is not JSON, so that its sender gets a reply; `undefined` where none can be read. */
export function idIn(frame: Buffer): unknown {
  const [, text] = ID.exec(frame.toString()) ?? [];
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}

/** The fault of a parser that has returned a promise. The promise may reject: no code will wait for it. */
export function promiseFault(message: unknown): TypeError | undefined {
  if (!isThenable(message)) return undefined;
  Promise.resolve(message).catch(() => undefined);
  return new TypeError('The messageParser returned a promise instead of the message.');
}

/** Whether a message may cancel an earlier one, the one with its id. */
export function isCancel(
  message: InboundMessage,
): message is InboundMessage & { id: string | number } {
  return message.event === 'cancel' && messageId(message) !== undefined;
}
