import {
  applyFilter,
  exceptionReply,
  filterFor,
  type MessageRefusedError,
} from '../handlers/exception-reply.js';
import { subjectOf } from '../journal/journal.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { ExecutionContextHost } from '../nest/nest-internals.js';
import { isThenable } from '../structures/maybe-async.js';
import { encodeAnswer, encodeFrame, whyNoFrame } from '../wire/frame-encoding.js';
import { type InboundMessage, messageId } from '../wire/message-parser.js';
import type { ConnectionServices } from './connection-services.js';
import type { RunningCall } from './running-call.js';
import { letGo, UnserializableAnswerError } from './unserializable-answer.js';

/** The connection that an answer goes to. */
export interface AnsweringConnection {
  readonly services: ConnectionServices;
  readonly manager: WebSocketManager;
}

/** Sends what a handler answered. False where JSON cannot express it: then the client gets that, and the log says why. */
export function answer(to: AnsweringConnection, value: unknown, call: RunningCall): boolean {
  if (value === undefined || value === null) return true;
  const frame = encodeAnswer(value);
  if (frame === undefined) {
    answerUnserializable(to, value, call);
    return false;
  }
  to.manager.sendFrame(frame);
  return true;
}

/** Answers what a handler threw: by the exception filter that catches it, and otherwise with an `exception` event. */
export function answerError(to: AnsweringConnection, error: unknown, call: RunningCall): void {
  const { message, plan, args } = call;
  countFailure(to, error, call);
  const answerItself = (thrown: unknown): void => {
    logFailure(to, thrown, message);
    sendException(to, thrown, message);
  };
  const filter = filterFor(plan.filters, error);
  if (!filter) return answerItself(error);
  const host = new ExecutionContextHost(args);
  host.setType('ws');
  try {
    const result = applyFilter(filter, error, host);
    if (isThenable(result)) void Promise.resolve(result).catch(answerItself);
  } catch (filterError) {
    answerItself(filterError);
  }
}

/** Refuses a message that no handler gets. */
export function answerRefusal(
  to: AnsweringConnection,
  refused: MessageRefusedError,
  message: InboundMessage,
): void {
  sendException(to, refused, message);
}

/** What a message calls its event. Handlers exist for few events, but what a client calls them by may be long. */
export function eventName({ event }: InboundMessage): string {
  return String(event).slice(0, 128);
}

function answerUnserializable(to: AnsweringConnection, value: unknown, call: RunningCall): void {
  const error = new UnserializableAnswerError(eventName(call.message), whyNoFrame(value));
  letGo(value);
  countFailure(to, error, call);
  logFailure(to, error, call.message);
  sendException(to, error, call.message);
}

function countFailure(to: AnsweringConnection, error: unknown, call: RunningCall): void {
  to.services.traffic.failed += 1;
  if (!call.isReleased) call.traced?.fail(error);
}

function sendException(to: AnsweringConnection, error: unknown, message: InboundMessage): void {
  const reply = exceptionReply(error, messageId(message));
  // An exception object of the app may hold what JSON cannot express.
  const frame =
    encodeFrame('exception', reply) ??
    encodeFrame('exception', exceptionReply(undefined, messageId(message)));
  if (frame !== undefined) to.manager.sendFrame(frame);
}

function logFailure(to: AnsweringConnection, thrown: unknown, message: InboundMessage): void {
  // `undefined` can be thrown as well, and an event without its error would say that nothing was.
  const error = thrown ?? String(thrown);
  to.manager.fail(error);
  const subject = subjectOf(to.manager.context);
  to.services.journal.record('handler-failed', { subject, event: eventName(message), error });
}
