import { isMadeThreadId } from '../context/ids.js';
import type { UserExecutionContext } from '../context/user-execution-context.js';
import { MessageRefusedError } from '../handlers/exception-reply.js';
import { subjectOf } from '../journal/journal.js';
import { CloseCode } from '../wire/close-codes.js';
import type { InboundMessage } from '../wire/message-parser.js';
import { type AnsweringConnection, answerRefusal } from './answers.js';

/**
 * The thread that a payload names, as text; `undefined` when it names none. Where the identity named no thread, the
 * connection's own was made by this library, and so is every other that a client could know: anything else called
 * `threadId` is a field of the app, for example the thread of a forum.
 */
export function claimedThread(data: unknown, context: UserExecutionContext): string | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { threadId: camel, thread_id: snake } = data as { threadId?: unknown; thread_id?: unknown };
  const first = claimOf(camel, context);
  const second = claimOf(snake, context);
  // Of two claims the one that differs counts.
  return first === undefined || first === context.threadId ? (second ?? first) : first;
}

function claimOf(claim: unknown, context: UserExecutionContext): string | undefined {
  if (claim === undefined || claim === null) return undefined;
  // In JSON an id is often a number, in an identity it is a text. Beyond what a number can hold exactly, two ids
  // would read alike: 9007199254740993 comes out of JSON as …992.
  const isId = typeof claim === 'string' || Number.isSafeInteger(claim);
  const id = isId ? String(claim) : `${typeof claim} (no text)`;
  return context.isThreadNamed || isMadeThreadId(id) ? id.slice(0, 257) : undefined;
}

/** The thread that a message names where it is another than its connection's. The tracker of threads is told of both. */
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

/** Refuses a message of another thread; with `inbound.threadCheck: 'close'` the connection is closed. */
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
