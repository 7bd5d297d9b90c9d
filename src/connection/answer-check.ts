import { type Checked, issuesText } from '../contract/check.js';
import type { ClientAnswer, ClientRefusal } from '../manager/question.js';
import { isThenable } from '../structures/maybe-async.js';
import type { InboundMessage } from '../wire/message-parser.js';
import { type AnsweringConnection, answerFailure, answerRefusal } from './answers.js';
import { checkPayload, invalidPayload } from './payload-check.js';

/** The connection whose answers are checked. */
export interface AskedConnection extends AnsweringConnection {
  /** Counts a message that is not handled. */
  ignore(reason: 'invalid-payload'): void;
}

/**
 * Takes the answer of a client to a question of the server, past the queue of messages. An answer that does not fit the
 * contract counts as an error of the client, which is told why: other connections that are asked may still answer.
 */
export function takeAnswer(to: AskedConnection, answer: ClientAnswer & InboundMessage): void {
  const { manager, server } = to;
  const isError = answer.error !== undefined && answer.error !== null;
  if (!server.contract || isError) return manager.answered(answer);
  const event = manager.claimAnswer(answer);
  if (event === undefined) return;
  const schema = server.contract.askOf(event)?.reply;
  if (!schema) return manager.answered(answer);
  const what = `the answer to "${event}"`;
  const reject = (error: ClientRefusal): void => manager.answered({ ask: answer.ask, error });
  const decide = (checked: Checked): void => {
    if (!checked.issues) return manager.answered({ ask: answer.ask, data: checked.value });
    to.ignore('invalid-payload');
    answerRefusal(to, invalidPayload(what, checked.issues), answer);
    reject({ code: 'INVALID_PAYLOAD', message: issuesText(checked.issues) });
  };
  const failed = (error: unknown): void => {
    answerFailure(to, error, answer);
    reject({ code: 'SCHEMA_FAILED', message: 'the answer could not be checked' });
  };
  try {
    const checked = checkPayload(to, schema, answer.data, what);
    if (isThenable(checked)) checked.then(decide, failed);
    else decide(checked);
  } catch (error) {
    failed(error);
  }
}
