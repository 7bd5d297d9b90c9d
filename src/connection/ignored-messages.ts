import { isThenable } from '../structures/maybe-async.js';
import { type InboundMessage, messageId } from '../wire/message-parser.js';
import { refusalFrame } from './reply.js';
import type { IgnoredReason } from './traffic-counters.js';

/** What a client is told about a message that no handler gets. */
const REFUSALS = {
  'not-json': ['NOT_JSON', 'The message is not JSON.'],
  'unknown-event': ['UNKNOWN_EVENT', 'No gateway on this path handles this event.'],
  'rate-limit': ['RATE_LIMITED', 'The connection sends too many messages, and is closed.'],
  'pending-overflow': [
    'TOO_MANY_PENDING',
    'Too many messages of this connection wait for a handler, and it is closed.',
  ],
} satisfies Partial<Record<IgnoredReason, readonly [code: string, text: string]>>;

/** The close reason where too many bytes wait in the process: by then, handlers have made room. */
export const OVERLOADED = JSON.stringify({ retryAfterMs: 5_000 });

/** Why a message is refused. */
export type RefusedReason = keyof typeof REFUSALS;

/** The reply to a message that no handler gets; `undefined` where the message has no id. */
export function ignoredFrame(
  reason: RefusedReason,
  message: { readonly id?: unknown },
): string | undefined {
  const id = messageId(message);
  if (id === undefined) return undefined;
  const [code, text] = REFUSALS[reason];
  return refusalFrame(code, text, id);
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

/** Whether a client cancels an earlier message. An app that handles `cancel` itself gets such messages instead. */
export function isCancel(
  message: InboundMessage,
): message is InboundMessage & { id: string | number } {
  return message.event === 'cancel' && messageId(message) !== undefined;
}
