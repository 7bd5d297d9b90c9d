import type { ArgumentMetadata, ExecutionContext, PipeTransform } from '@nestjs/common';

import { isThenable } from '../manager/bounded-run.js';
import { PARAM_ARGS_METADATA, PARAMTYPES_METADATA } from '../nest/nest-internals.js';
import { connectionReader } from './connection-parameters.js';

/** What a handler is called with: the socket, the payload, the event's name. */
export type HandlerArgs = [client: object, data: unknown, pattern: unknown];

/** One parameter of a handler, as its decorator describes it. */
export interface ParameterDefinition {
  readonly index: number;
  readonly read: (args: HandlerArgs, context: () => ExecutionContext) => unknown;
  /** Pipes written into the decorator: classes or instances. */
  readonly pipes: readonly unknown[];
  readonly metadata: ArgumentMetadata;
}

/** A parameter with its pipes at hand. */
export interface BoundParameter extends Omit<ParameterDefinition, 'pipes'> {
  readonly pipes: readonly PipeTransform[];
}

/** Computes a handler's arguments, at once where nothing in them is asynchronous. */
export type ReadArguments = (
  args: HandlerArgs,
  context: () => ExecutionContext,
) => unknown[] | Promise<unknown[]>;

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
// A method without parameter decorators gets the socket and the payload, as in any gateway.
const UNDECORATED: Readonly<Record<string, ParameterMetadata>> = {
  [`${SOCKET}:0`]: { index: 0 },
  [`${PAYLOAD}:1`]: { index: 1 },
};

export function parametersOf(prototype: object, methodName: string): ParameterDefinition[] {
  const declared = Reflect.getMetadata(PARAM_ARGS_METADATA, prototype.constructor, methodName) as
    Record<string, ParameterMetadata> | undefined;
  const types = Reflect.getMetadata(PARAMTYPES_METADATA, prototype, methodName) as
    ArgumentMetadata['metatype'][] | undefined;
  return Object.entries(declared ?? UNDECORATED).map(([key, parameter]) => {
    const kind = Number(key.split(':')[0]);
    const { index, data, pipes = [], schema } = parameter;
    const type = kind === PAYLOAD ? 'body' : 'custom';
    const metadata = { type, metatype: types?.[index], data, schema } as ArgumentMetadata;
    return { index, read: readerOf(kind, parameter), pipes, metadata };
  });
}

function readerOf(kind: number, { data, factory }: ParameterMetadata): ParameterDefinition['read'] {
  const ours = connectionReader(factory);
  if (ours) return ([client]) => ours(client);
  if (factory) return (_args, context) => factory(data, context());
  if (kind === SOCKET) return ([client]) => client;
  if (kind !== PAYLOAD) return () => undefined;
  if (!data) return ([, payload]) => payload;
  return ([, payload]) =>
    (payload as Record<PropertyKey, unknown> | null | undefined)?.[data as string];
}

/** Composes the reading of all parameters, once per handler. */
export function argumentsReader(parameters: readonly BoundParameter[]): ReadArguments {
  const length = Math.max(0, ...parameters.map(({ index }) => index + 1));
  return (args, context) => {
    const values: unknown[] = Array.from({ length });
    let isPending = false;
    for (const { index, read, pipes, metadata } of parameters) {
      let value = read(args, context);
      // Nest applies no pipe to what a reader gives asynchronously: neither do we wait for it first.
      if (pipes.length > 0) value = applyPipes(pipes, value, metadata);
      if (pipes.length > 0 && isThenable(value)) isPending = true;
      values[index] = value;
    }
    return isPending ? Promise.all(values) : values;
  };
}

function applyPipes(
  pipes: readonly PipeTransform[],
  value: unknown,
  metadata: ArgumentMetadata,
): unknown {
  let result = value;
  for (const [index, pipe] of pipes.entries()) {
    result = pipe.transform(result, metadata);
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
