import type { ArgumentMetadata, ExecutionContext, PipeTransform } from '@nestjs/common';

import { isThenable } from '../structures/maybe-async.js';
import {
  PARAM_ARGS_METADATA,
  PARAMTYPES_METADATA,
  WsParamsFactory,
} from '../nest/nest-internals.js';
import { connectionReader } from './connection-parameters.js';

/** The raw arguments of a handler call: the socket, the payload, the event's name. */
export type HandlerArgs = [client: object, data: unknown, pattern: unknown];

/** Reads one parameter. `context` is set whenever a parameter of the handler needs it. */
type ReadParameter = (args: HandlerArgs, context: ExecutionContext | undefined) => unknown;

/** One parameter of a handler, as its decorator describes it. */
export interface ParameterDefinition {
  readonly index: number;
  readonly read: ReadParameter;
  /** Whether reading it needs an execution context. */
  readonly needsContext: boolean;
  /** Pipes given to the decorator: classes or instances. */
  readonly pipes: readonly unknown[];
  readonly metadata: ArgumentMetadata;
}

/** A parameter with the instances of its pipes. */
export interface BoundParameter extends Omit<ParameterDefinition, 'pipes'> {
  readonly pipes: readonly PipeTransform[];
}

/** Computes a handler's arguments. */
export interface ArgumentsReader {
  /** Whether an argument is read from an execution context, by a parameter decorator of the app. */
  readonly needContext: boolean;
  /** Returns the arguments; a promise only if a decorator or a pipe is asynchronous. */
  read(args: HandlerArgs, context: ExecutionContext | undefined): unknown[] | Promise<unknown[]>;
}

interface ParameterMetadata {
  readonly index: number;
  readonly data?: unknown;
  readonly pipes?: readonly unknown[];
  readonly factory?: (data: unknown, context: ExecutionContext) => unknown;
  readonly schema?: unknown;
}

// Nest's numbers for the kinds of parameters: `@ConnectedSocket`, `@MessageBody` and the acknowledgement callback.
const SOCKET = 0;
const PAYLOAD = 3;
const ACKNOWLEDGEMENT = 13;
// A method without parameter decorators gets the socket, the payload and, with other transports, the acknowledgement
// callback. `ws` has no such callback, so the third argument is `undefined`.
const UNDECORATED: Readonly<Record<string, ParameterMetadata>> = {
  [`${SOCKET}:0`]: { index: 0 },
  [`${PAYLOAD}:1`]: { index: 1 },
  [`${ACKNOWLEDGEMENT}:2`]: { index: 2 },
};

/** Nest's own reader, for kinds of parameters that Nest has added since. */
const later = new WsParamsFactory();

export function parametersOf(prototype: object, methodName: string): ParameterDefinition[] {
  const declared = Reflect.getMetadata(PARAM_ARGS_METADATA, prototype.constructor, methodName) as
    Record<string, ParameterMetadata> | undefined;
  const types = Reflect.getMetadata(PARAMTYPES_METADATA, prototype, methodName) as
    ArgumentMetadata['metatype'][] | undefined;
  return Object.entries(declared ?? UNDECORATED).map(([key, parameter]) => {
    const kind = Number(key.split(':')[0]);
    const { index, data, factory, pipes = [], schema } = parameter;
    const type = kind === PAYLOAD ? 'body' : 'custom';
    const metadata = { type, metatype: types?.[index], data, schema } as ArgumentMetadata;
    const ours = connectionReader(factory);
    const read: ReadParameter = ours ? (args) => ours(args[0]) : readerOf(kind, parameter);
    return { index, read, needsContext: factory !== undefined && !ours, pipes, metadata };
  });
}

// By index, not by destructuring: this runs for every message, and destructuring an array iterates over it.
function readerOf(kind: number, { data, factory }: ParameterMetadata): ReadParameter {
  if (factory) return (_args, context) => factory(data, context!);
  if (kind === SOCKET) return (args) => args[0];
  if (kind === ACKNOWLEDGEMENT) return () => undefined;
  if (kind !== PAYLOAD) return (args) => later.exchangeKeyForValue(kind, data as string, args);
  if (!data) return (args) => args[1];
  return (args) => (args[1] as Record<PropertyKey, unknown> | null | undefined)?.[data as string];
}

/** A parameter without a decorator, in a method with decorators on other parameters: it is `undefined`. */
const UNDECLARED: Omit<BoundParameter, 'index'> = {
  read: () => undefined,
  needsContext: false,
  pipes: [],
  metadata: { type: 'custom' },
};

/** Composes the reader of all parameters of a handler. */
export function argumentsReader(parameters: readonly BoundParameter[]): ArgumentsReader {
  const length = Math.max(0, ...parameters.map(({ index }) => index + 1));
  const places = Array.from(
    { length },
    (_, place) => parameters.find(({ index }) => index === place) ?? UNDECLARED,
  );
  // Copied for every message: V8 reserves 17 elements for an empty array that grows.
  const blank = places.map((): unknown => undefined);
  return {
    needContext: parameters.some(({ needsContext }) => needsContext),
    read(args, context) {
      const values = blank.slice();
      let isPending = false;
      for (let place = 0; place < places.length; place += 1) {
        const { read, needsContext, pipes, metadata } = places[place]!;
        let value = read(args, context);
        if (needsContext && isThenable(value)) {
          // Pipes get the value that a decorator of the app resolves to, not its promise.
          value = pipes.length > 0 ? applyLater(pipes, value, metadata) : value;
        } else if (pipes.length > 0) {
          value = applyPipes(pipes, value, metadata);
        }
        if ((needsContext || pipes.length > 0) && isThenable(value)) isPending = true;
        values[place] = value;
      }
      return isPending ? Promise.all(values) : values;
    },
  };
}

function applyPipes(
  pipes: readonly PipeTransform[],
  value: unknown,
  metadata: ArgumentMetadata,
): unknown {
  let result = value;
  for (let index = 0; index < pipes.length; index += 1) {
    result = pipes[index]!.transform(result, metadata);
    if (isThenable(result)) return applyLater(pipes.slice(index + 1), result, metadata);
  }
  return result;
}

async function applyLater(
  pipes: readonly PipeTransform[],
  pending: PromiseLike<unknown>,
  metadata: ArgumentMetadata,
): Promise<unknown> {
  let result: unknown = await pending;
  for (const pipe of pipes) result = await (pipe.transform(result, metadata) as unknown);
  return result;
}
