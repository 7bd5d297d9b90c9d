import {
  applyFilter,
  exceptionReply,
  faultOf,
  filterFor,
  type MessageRefusedError,
} from '../handlers/exception-reply.js';
import type { StandardSchema } from '../contract/standard-schema.js';
import type { IsolationError } from '../errors/isolation-error.js';
import type { PathContract } from '../handlers/path-contract.js';
import { BINARY_EVENT } from '../handlers/subscribe-binary.decorator.js';
import { subjectOf } from '../journal/journal.js';
import { UNSERIALIZABLE } from '../manager/frame-channel.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { ExecutionContextHost } from '../nest/nest-internals.js';
import { isThenable } from '../structures/maybe-async.js';
import { BinaryFrame } from '../wire/binary-frame.js';
import { encodeAnswer, encodeFrame, whyNoFrame, withField } from '../wire/frame-encoding.js';
import { type InboundMessage, messageId } from '../wire/message-parser.js';
import type { LocalPolicy } from '../wire/send-policy.js';
import type { ConnectionServices } from './connection-services.js';
import type { Reply } from './reply.js';
import { replyFault, replyMessage, replySchema } from './reply-check.js';
import type { RunningCall } from './running-call.js';
import { letGo, UnserializableAnswerError } from './unserializable-answer.js';

/** The connection that an answer goes to. */
export interface AnsweringConnection {
  readonly services: ConnectionServices;
  readonly manager: WebSocketManager;
  readonly server: { readonly contract: PathContract | undefined };
}

/**
 * Sends the result of a handler. Returns false if JSON cannot express it, or if it does not fit the contract: then the
 * client gets `INTERNAL_ERROR`, and the log has the reason.
 */
export function answer(
  to: AnsweringConnection,
  value: unknown,
  call: RunningCall,
  isItem = false,
  policy?: LocalPolicy,
): boolean {
  if (value === undefined) return true;
  const schema = replySchema(to.server.contract, call.message);
  if (value === null && !schema) return true;
  const frame = schema ? contractFrame(to, schema, value, call) : frameOf(value, call);
  if (frame instanceof Error) {
    answerUnsendable(to, frame, value, call);
    return false;
  }
  return send(to, frame, call, isItem, policy);
}

function send(
  to: AnsweringConnection,
  frame: string | BinaryFrame,
  call: RunningCall,
  isItem: boolean,
  policy: LocalPolicy | undefined,
): boolean {
  const { reply } = call;
  const isReply = typeof frame === 'string' && reply !== undefined && reply.claim(call);
  const answered = !isReply ? frame : isItem ? reply.item(frame, call) : reply.value(frame, call);
  if (to.manager.sendFrame(answered, policy) !== UNSERIALIZABLE) return true;
  answerUncodable(to, call, isReply);
  return false;
}

// The codec of the connection has failed, which is reported. An id gets its terminal frame nevertheless.
function answerUncodable(to: AnsweringConnection, call: RunningCall, isReply: boolean): void {
  const { reply, message } = call;
  if (isReply && reply?.isOver) sendError(to, undefined, reply.id);
  else sendException(to, undefined, message, reply, call);
}

function frameOf(value: unknown, call: RunningCall): string | BinaryFrame | IsolationError {
  // Bytes that a method with `@SubscribeBinary()` has made are sent as they are.
  if (call.message.event === BINARY_EVENT && value instanceof Uint8Array) {
    return BinaryFrame.of(value);
  }
  const frame = encodeAnswer(value);
  return frame ?? new UnserializableAnswerError(eventName(call.message), whyNoFrame(value));
}

function contractFrame(
  { services }: AnsweringConnection,
  schema: StandardSchema,
  value: unknown,
  call: RunningCall,
): string | BinaryFrame | IsolationError {
  const message = replyMessage(value, call.message.event);
  const { checkReplies } = services.options.outbound;
  const fault = checkReplies ? replyFault(schema, message, eventName(call.message)) : undefined;
  return fault ?? frameOf(message, call);
}

/** Handles an error of a handler: by the exception filter that catches it, otherwise with an `exception` event. */
export function answerError(to: AnsweringConnection, error: unknown, call: RunningCall): void {
  const { message, plan, args } = call;
  countFailure(to, error, call);
  const send = (thrown: unknown): void => sendException(to, thrown, message, call.reply, call);
  const answerItself = (thrown: unknown): void => {
    logFailure(to, thrown, message);
    send(thrown);
  };
  const filter = filterFor(plan.filters, error);
  if (!filter) return answerItself(error);
  const host = new ExecutionContextHost(args);
  host.setType('ws');
  try {
    const result = applyFilter(filter, error, host);
    // What a filter sends itself carries no id, so a message with an id gets its terminal frame after it.
    const isAnswered = (): void => void (call.reply && !call.reply.isOver && send(error));
    if (!isThenable(result)) return isAnswered();
    // No acknowledgement before the filter has ended.
    call.reply?.claim(call);
    void Promise.resolve(result).then(isAnswered, answerItself);
  } catch (filterError) {
    answerItself(filterError);
  }
}

/** Sends the refusal of a message to the client. */
export function answerRefusal(
  to: AnsweringConnection,
  refused: MessageRefusedError,
  message: InboundMessage,
  reply?: Reply,
): void {
  sendException(to, refused, message, reply);
}

/** Handles an error of the server before any handler has run: the log has it, the client gets `INTERNAL_ERROR`. */
export function answerFailure(
  to: AnsweringConnection,
  error: unknown,
  message: InboundMessage,
  reply?: Reply,
): void {
  to.services.traffic.failures[faultOf(error)] += 1;
  logFailure(to, error, message);
  sendException(to, error, message, reply);
}

/** Returns the name of a message's event, cut to 128 characters: the client chooses the name, and it may be long. */
export function eventName({ event }: InboundMessage): string {
  return (typeof event === 'symbol' ? event.description! : String(event)).slice(0, 128);
}

function answerUnsendable(
  to: AnsweringConnection,
  error: IsolationError,
  value: unknown,
  call: RunningCall,
): void {
  letGo(value);
  countFailure(to, error, call);
  logFailure(to, error, call.message);
  sendException(to, error, call.message, call.reply, call);
}

function countFailure(to: AnsweringConnection, error: unknown, call: RunningCall): void {
  to.services.traffic.failures[faultOf(error)] += 1;
  if (!call.isReleased) call.traced?.fail(error);
}

function sendException(
  to: AnsweringConnection,
  error: unknown,
  message: InboundMessage,
  reply?: Reply,
  call?: RunningCall,
): void {
  // Another handler of the same message may have replied already: then this frame carries no id.
  sendError(to, error, reply && !reply.fails(call) ? undefined : messageId(message));
}

function sendError(to: AnsweringConnection, error: unknown, id: string | number | undefined): void {
  const data = exceptionReply(error, id);
  // An exception of the app may have content that JSON cannot express: then the client gets `INTERNAL_ERROR`.
  const frame =
    encodeFrame('exception', data) ?? encodeFrame('exception', exceptionReply(undefined, id));
  if (frame !== undefined) to.manager.sendFrame(withId(frame, data, id));
}

// The content of an exception of the app is the whole data, without the id of the message.
function withId(frame: string, data: unknown, id: string | number | undefined): string {
  const hasId = id === undefined || (data as { id?: unknown }).id === id;
  return hasId ? frame : withField(frame, 'id', id);
}

function logFailure(to: AnsweringConnection, thrown: unknown, message: InboundMessage): void {
  // A handler may throw `undefined` too. Its text is recorded, so that the event has an error.
  const error = thrown ?? String(thrown);
  to.manager.fail(error);
  const subject = subjectOf(to.manager.context);
  to.services.journal.record('handler-failed', { subject, event: eventName(message), error });
}
