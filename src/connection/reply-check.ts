import { check, issuesText } from '../contract/check.js';
import type { StandardSchema } from '../contract/standard-schema.js';
import { IsolationError } from '../errors/isolation-error.js';
import { errorText } from '../errors/error-text.js';
import type { PathContract } from '../handlers/path-contract.js';
import { isThenable } from '../structures/maybe-async.js';

/** A handler returned something else than the contract says. The client gets `INTERNAL_ERROR`. */
export class InvalidReplyError extends IsolationError {
  constructor(event: string, why: string, options?: ErrorOptions) {
    super(
      'INVALID_REPLY',
      `The reply to "${event}" was not sent, because it does not fit the contract: ${why}`,
      options,
    );
  }
}

/** A message in the format of Nest: `{ event, data }`. */
interface WsMessage {
  readonly event: string;
  readonly data: unknown;
}

/** The schema of what handlers of a message return; `undefined` where the contract says nothing of it. */
export function replySchema(
  contract: PathContract | undefined,
  message: { readonly event: unknown },
): StandardSchema | undefined {
  const definition = contract?.messageOf(message.event);
  return definition?.reply ?? definition?.stream;
}

/**
 * The message that a reply is sent as. As everywhere in Nest, a handler may return `{ event, data }`; any other value is
 * the data itself, and the event is that of the message.
 */
export function replyMessage(value: unknown, event: unknown): WsMessage {
  return isWsMessage(value) ? value : { event: String(event), data: value };
}

function isWsMessage(value: unknown): value is WsMessage {
  if (typeof value !== 'object' || value === null || !('data' in value)) return false;
  return 'event' in value && typeof value.event === 'string' && Object.keys(value).length === 2;
}

/**
 * What is wrong with a reply. The reply is sent as it is: what the schema makes of it is for the client. A schema that
 * returns a promise decides nothing, because a reply does not wait.
 */
export function replyFault(
  schema: StandardSchema,
  { data }: WsMessage,
  event: string,
): InvalidReplyError | undefined {
  try {
    const checked = check(schema, data);
    if (isThenable(checked)) {
      checked.catch(ignore);
      return undefined;
    }
    return checked.issues && new InvalidReplyError(event, issuesText(checked.issues));
  } catch (cause) {
    return new InvalidReplyError(event, `the schema threw ${errorText(cause)}`, { cause });
  }
}

function ignore(): void {
  // Nothing waits for this check.
}
