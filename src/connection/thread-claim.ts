import { isMadeThreadId } from '../context/ids.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { MessageRefusedError } from '../handlers/exception-reply.js';
import { subjectOf } from '../journal/journal.js';
import { CloseCode } from '../wire/close-codes.js';
import type { InboundMessage } from '../wire/message-parser.js';
import { type AnsweringConnection, answerRefusal } from './answers.js';

/**
 * Returns the thread that a payload names, as text; `undefined` when it names none. If the identity named no thread,
 * this library has made the connection's thread id and every other thread id that a client could know. Any other value
 * called `threadId` is then a field of the app, for example the thread of a forum, and is ignored.
 */
export function claimedThread(data: unknown, context: UserExecutionContext): string | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { threadId: camel, thread_id: snake } = data as { threadId?: unknown; thread_id?: unknown };
  const first = claimOf(camel, context);
  const second = claimOf(snake, context);
  // If the payload has both fields, the one that differs from the connection's thread counts.
  return first === undefined || first === context.threadId ? (second ?? first) : first;
}

function claimOf(claim: unknown, context: UserExecutionContext): string | undefined {
  if (claim === undefined || claim === null) return undefined;
  // An id is often a number in JSON, but a text in an identity. A number beyond the safe integers is no id, because two
  // different ids would become equal: JSON.parse reads 9007199254740993 as …992.
  const isId = typeof claim === 'string' || Number.isSafeInteger(claim);
  const id = isId ? String(claim) : `${typeof claim} (no text)`;
  return context.isThreadNamed || isMadeThreadId(id) ? id.slice(0, 257) : undefined;
}

/** Returns the thread that a message names, if it is not the connection's. Records both ids in the thread tracker. */
export function otherThreadOf(
  { services, manager }: AnsweringConnection,
  { data }: InboundMessage,
): string | undefined {
  const { context } = manager;
  if (services.options.inbound.threadCheck === 'off') return undefined;
  const claimed = claimedThread(data, context);
  if (claimed === undefined) return undefined;
  services.tracker.record({ context: context.threadId, message: claimed });
  return claimed === context.threadId ? undefined : claimed;
}

/** Refuses a message that names another thread. With `inbound.threadCheck: 'close'`, also closes the connection. */
export function refuseThread(
  to: AnsweringConnection,
  message: InboundMessage,
  claimed: string,
): void {
  const { services, manager } = to;
  const { threadCheck: action } = services.options.inbound;
  const subject = subjectOf(manager.context);
  services.journal.record('thread-mismatch', { subject, claimedThreadId: claimed, action });
  const error = new MessageRefusedError(
    'THREAD_MISMATCH',
    'The message names another thread than this connection’s. Open a connection for that thread.',
  );
  answerRefusal(to, error, message);
  if (action === 'close') void manager.close(CloseCode.POLICY_VIOLATION, 'thread mismatch');
}
