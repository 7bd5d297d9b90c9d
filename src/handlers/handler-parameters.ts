import type { ArgumentMetadata, ExecutionContext, PipeTransform } from '@nestjs/common';

import { isThenable } from '../structures/maybe-async.js';
import { PARAM_ARGS_METADATA, PARAMTYPES_METADATA } from '../nest/nest-internals.js';
import { connectionReader } from './connection-parameters.js';

/** What a handler is called with: the socket, the payload, the event's name. */
export type HandlerArgs = [client: object, data: unknown, pattern: unknown];

/** Reads one parameter. There is a context where one of the parameters needs one. */
type ReadParameter = (args: HandlerArgs, context: ExecutionContext | undefined) => unknown;

/** One parameter of a handler, as its decorator describes it. */
export interface ParameterDefinition {
  readonly index: number;
  readonly read: ReadParameter;
  /** Reading it takes an execution context. */
  readonly needsContext: boolean;
  /** Pipes written into the decorator: classes or instances. */
  readonly pipes: readonly unknown[];
  readonly metadata: ArgumentMetadata;
}

/** A parameter with its pipes at hand. */
export interface BoundParameter extends Omit<ParameterDefinition, 'pipes'> {
  readonly pipes: readonly PipeTransform[];
}

/** Computes a handler's arguments. */
export interface ArgumentsReader {
  /** One of them is read from an execution context: a decorator of the app. */
  readonly needContext: boolean;
  /** The arguments, at once where nothing in them is asynchronous. */
  read(args: HandlerArgs, context: ExecutionContext | undefined): unknown[] | Promise<unknown[]>;
}

interface ParameterMetadata {
  readonly index: number;
  readonly data?: unknown;
  readonly pipes?: readonly unknown[];
  readonly factory?: (data: unknown, context: ExecutionContext) => unknown;
  readonly schema?: unknown;
}

// Nest's own numbers for what `@ConnectedSocket` and `@MessageBody` stand for.
const SOCKET = 0;
const PAYLOAD = 3;
const ACKNOWLEDGEMENT = 13;
// A method without parameter decorators gets the socket, the payload, and what acknowledges with other
// transports: with `ws` nothing does.
const UNDECORATED: Readonly<Record<string, ParameterMetadata>> = {
  [`${SOCKET}:0`]: { index: 0 },
  [`${PAYLOAD}:1`]: { index: 1 },
  [`${ACKNOWLEDGEMENT}:2`]: { index: 2 },
};

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

// By index and not by destructuring: every message reads its arguments here, and a pattern is an iteration.
function readerOf(kind: number, { data, factory }: ParameterMetadata): ReadParameter {
  if (factory) return (_args, context) => factory(data, context!);
  if (kind === SOCKET) return (args) => args[0];
  if (kind !== PAYLOAD) return () => undefined;
  if (!data) return (args) => args[1];
  return (args) => (args[1] as Record<PropertyKey, unknown> | null | undefined)?.[data as string];
}

/** A parameter that has no decorator beside others that have one. */
const UNDECLARED: Omit<BoundParameter, 'index'> = {
  read: () => undefined,
  needsContext: false,
  pipes: [],
  metadata: { type: 'custom' },
};

/** Composes the reading of all parameters, once per handler. */
export function argumentsReader(parameters: readonly BoundParameter[]): ArgumentsReader {
  const length = Math.max(0, ...parameters.map(({ index }) => index + 1));
  const places = Array.from(
    { length },
    (_, place) => parameters.find(({ index }) => index === place) ?? UNDECLARED,
  );
  // Copied for every message: an array that grows takes room for seventeen.
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
          // Pipes get what a decorator of the app reads, not its promise.
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
