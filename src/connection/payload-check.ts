import { type Checked, check, type ContractIssue, faultText } from '../contract/check.js';
import type { StandardSchema } from '../contract/standard-schema.js';
import { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import { IsolationError } from '../errors/isolation-error.js';
import { MessageRefusedError } from '../handlers/exception-reply.js';
import type { HandlerRef } from '../handlers/isolated-server.js';
import { isThenable } from '../structures/maybe-async.js';
import type { Release } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import type { InboundMessage } from '../wire/message-parser.js';
import { type AnsweringConnection, answerFailure, answerRefusal, eventName } from './answers.js';
import type { Reply } from './reply.js';

/** A schema of the contract did not decide. The client gets `INTERNAL_ERROR`. */
export class SchemaFailedError extends IsolationError {
  constructor(what: string, why: string, options?: ErrorOptions) {
    super(
      'SCHEMA_FAILED',
      `The schema of ${what} in the contract ${why}, so the value was refused. ` +
        'Let the schema return a value or issues, for any value and in time.',
      options,
    );
  }
}

/**
 * Checks what a client has sent, in the context of its connection. Returns a promise only where the schema does; that
 * one has `inbound.validationTimeoutMs`.
 *
 * @param what names the value in errors: `"say"`
 * @throws {SchemaFailedError} or rejects with it: the schema threw, returned something else than a result, or hangs
 */
export function checkPayload(
  { services, manager }: AnsweringConnection,
  schema: StandardSchema,
  value: unknown,
  what: string,
): Checked | Promise<Checked> {
  const code = new ConnectionCode(manager.context);
  let pending: Checked | Promise<Checked>;
  try {
    pending = runInContext(code, () => check(schema, value), undefined);
  } catch (cause) {
    throw schemaThrew(what, cause);
  }
  return isThenable(pending) ? inTime(services, pending, what) : pending;
}

async function inTime(
  { clock, options }: AnsweringConnection['services'],
  pending: Promise<Checked>,
  what: string,
): Promise<Checked> {
  const { validationTimeoutMs } = options.inbound;
  const checked = await withDeadline(clock, validationTimeoutMs, pending).catch(
    (cause: unknown) => {
      throw schemaThrew(what, cause);
    },
  );
  if (checked !== TIMED_OUT) return checked;
  throw new SchemaFailedError(what, `did not decide within ${validationTimeoutMs} ms`);
}

function schemaThrew(what: string, cause: unknown): SchemaFailedError {
  return new SchemaFailedError(what, 'threw, or returned no result', { cause });
}

/** The connection whose messages are checked. */
export interface CheckingConnection extends AnsweringConnection {
  /** Counts a message that is not handled. */
  ignore(reason: 'invalid-payload' | 'closing'): void;
  /** Takes a place among the handlers that run. @returns gives it back */
  occupy(): Release;
  /** Runs the handlers of a message whose data is admitted. */
  run(message: InboundMessage, refs: readonly HandlerRef[], reply: Reply | undefined): void;
}

/** A message that waits for its check. */
interface UncheckedMessage {
  readonly schema: StandardSchema;
  readonly message: InboundMessage;
  readonly refs: readonly HandlerRef[];
  readonly reply: Reply | undefined;
}

/**
 * Checks a message before guards, interceptors and handlers: no code of the app but the schema gets data that the
 * contract does not admit. A check that takes time holds a place among the handlers, so that order and bounds hold.
 */
export function checkMessage(to: CheckingConnection, unchecked: UncheckedMessage): void {
  const { schema, message } = unchecked;
  let pending: ReturnType<typeof checkPayload>;
  try {
    pending = checkPayload(to, schema, message.data, `"${eventName(message)}"`);
  } catch (error) {
    return answerFailure(to, error, message, unchecked.reply);
  }
  if (!isThenable(pending)) return decide(to, unchecked, pending);
  const release = to.occupy();
  const go = (act: () => void): void => {
    // The reply has been refused when the connection began to close.
    if (to.manager.mayAct) act();
    else to.ignore('closing');
    release();
  };
  pending.then(
    (checked) => go(() => decide(to, unchecked, checked)),
    (error: unknown) => go(() => answerFailure(to, error, message, unchecked.reply)),
  );
}

function decide(
  to: CheckingConnection,
  { message, refs, reply }: UncheckedMessage,
  checked: Checked,
): void {
  if (!checked.issues) return to.run({ ...message, data: checked.value }, refs, reply);
  to.ignore('invalid-payload');
  answerRefusal(to, invalidPayload(`"${eventName(message)}"`, checked.issues), message, reply);
}

/** The refusal of a payload that does not fit the contract. */
export function invalidPayload(
  what: string,
  issues: readonly ContractIssue[],
): MessageRefusedError {
  return new MessageRefusedError('INVALID_PAYLOAD', faultText(what, issues), issues);
}
