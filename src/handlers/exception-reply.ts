import { type ArgumentsHost, type HttpException, HttpStatus } from '@nestjs/common';
import { WsException } from '@nestjs/websockets';

import type { ContractIssue } from '../contract/check.js';
import { IsolationError } from '../errors/isolation-error.js';
import { errorText } from '../errors/error-text.js';
import { httpStatusOf, isClientFault } from '../errors/http-status.js';
import type { BoundFilter } from '../nest/gateway-enhancers.js';
import { GuardRefusedError } from './handler-pipeline.js';

/** This library refused a message. The client gets the code and the text. */
export class MessageRefusedError extends IsolationError {
  constructor(
    code: string,
    message: string,
    /** What is wrong with the data, where a schema has found it. */
    readonly issues?: readonly ContractIssue[],
  ) {
    super(code, message);
  }
}

/** The data of the `exception` event that a client gets for a failed message. */
export interface ExceptionReply {
  readonly status: 'error';
  readonly code: string;
  /** A list of texts where the error has one, such as the faults that a `ValidationPipe` found. */
  readonly message: string | readonly string[];
  /** With `INVALID_PAYLOAD`: what is wrong with the data, and where. */
  readonly issues?: readonly ContractIssue[];
  /** The `id` of the message, where it had one. */
  readonly id?: string | number;
}

/** Whose fault an exception is: of the client, whose message was refused, or of the server. */
export type Fault = 'client' | 'server';

/** The client gets the text of an error that is its own fault, and `INTERNAL_ERROR` for any other one. */
export function faultOf(error: unknown): Fault {
  return error instanceof WsException || isClientFault(error) ? 'client' : 'server';
}

/**
 * Returns the data of the `exception` event for an error. The client gets the text of a `WsException`, and of an
 * `HttpException` of 4xx (thrown by a pipe, a guard or the handler). For any other error it gets `INTERNAL_ERROR`, and
 * only the log has the cause.
 */
export function exceptionReply(error: unknown, id: string | number | undefined): unknown {
  if (error instanceof MessageRefusedError)
    return reply(error.code, error.message, id, error.issues);
  if (isClientFault(error)) return clientFaultReply(error as HttpException, id);
  if (!(error instanceof WsException)) return reply('INTERNAL_ERROR', 'Internal server error', id);
  const content = error.getError();
  // A `WsException` made with an object: that object is the whole reply, as in any Nest gateway.
  if (typeof content === 'object' && content !== null) return content;
  return reply(error instanceof GuardRefusedError ? 'FORBIDDEN' : 'WS_EXCEPTION', content, id);
}

// The code is the name of the status (403: FORBIDDEN). The text is the exception's own, as over HTTP.
function clientFaultReply(error: HttpException, id: string | number | undefined): ExceptionReply {
  const status = httpStatusOf(error)!;
  return reply(HttpStatus[status] ?? `HTTP_${status}`, textOf(error), id);
}

function textOf(error: HttpException): ExceptionReply['message'] {
  const response: unknown =
    typeof error.getResponse === 'function' ? error.getResponse() : undefined;
  const text = isObject(response) ? response['message'] : response;
  if (typeof text === 'string') return text;
  const isList = Array.isArray(text) && text.every((item) => typeof item === 'string');
  return isList ? text : errorText(error);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null;
}

function reply(
  code: string,
  message: ExceptionReply['message'],
  id: string | number | undefined,
  issues?: readonly ContractIssue[],
): ExceptionReply {
  return {
    status: 'error',
    code,
    message,
    ...(issues && { issues }),
    ...(id !== undefined && { id }),
  };
}

/** Returns the first filter that catches errors of this class. */
export function filterFor(
  filters: readonly BoundFilter[],
  error: unknown,
): BoundFilter | undefined {
  return filters.find(
    ({ exceptionMetatypes }) =>
      exceptionMetatypes.length === 0 || exceptionMetatypes.some((type) => error instanceof type),
  );
}

export function applyFilter(filter: BoundFilter, error: unknown, host: ArgumentsHost): unknown {
  return filter.func(error, host) as unknown;
}
