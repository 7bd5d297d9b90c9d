import type { CallHandler, CanActivate, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { WsException } from '@nestjs/websockets';
import { isObservable, lastValueFrom, Observable, type Subscriber } from 'rxjs';

import { isThenable } from '../manager/bounded-run.js';
import { FORBIDDEN_MESSAGE } from '../nest/nest-internals.js';
import { ConnectionExecutionContext } from './connection-execution-context.js';
import type { ArgumentsReader, HandlerArgs } from './handler-parameters.js';

/** What one handler is composed of. */
export interface PipelineParts {
  readonly callback: (...args: unknown[]) => unknown;
  readonly guards: readonly CanActivate[];
  readonly interceptors: readonly NestInterceptor[];
  readonly parameters: ArgumentsReader;
}

/** Whoever wants to know when the method itself has ended, also where an interceptor makes a stream of it. */
export interface SettlingCall {
  settled(): void;
}

/**
 * Runs a handler with everything around it. Answers a value, a promise or an observable, at once where
 * nothing on the way is asynchronous. Only interceptors say when the method has settled.
 */
export type Pipeline = (gateway: object, args: HandlerArgs, call: SettlingCall) => unknown;

/** A guard said no. */
export class GuardRefusedError extends WsException {
  constructor() {
    super(FORBIDDEN_MESSAGE);
  }
}

/** Composes a handler once, so that a message only walks through what is there. */
export function composePipeline(parts: PipelineParts): Pipeline {
  const { guards, interceptors, callback, parameters } = parts;
  if (guards.length === 0 && interceptors.length === 0) {
    if (!parameters.needContext) {
      return (gateway, args) => invoke(callback, gateway, parameters.read(args, undefined));
    }
    return (gateway, args) => {
      const context = contextOf(gateway, callback, args);
      return invoke(callback, gateway, parameters.read(args, context));
    };
  }
  return (gateway, args, settling) => {
    const context = contextOf(gateway, callback, args);
    const next = (): unknown => invoke(callback, gateway, parameters.read(args, context));
    const proceed = (): unknown =>
      interceptors.length === 0 ? next() : intercept(interceptors, context, next, settling);
    const admitted = admit(guards, context);
    return admitted ? admitted.then(proceed) : proceed();
  };
}

function invoke(
  callback: PipelineParts['callback'],
  gateway: object,
  values: ReturnType<ArgumentsReader['read']>,
): unknown {
  return Array.isArray(values)
    ? Reflect.apply(callback, gateway, values)
    : invokeLater(callback, gateway, values);
}

// Apart from `invoke`: a closure there would be paid for by every message, also where nothing is awaited.
async function invokeLater(
  callback: PipelineParts['callback'],
  gateway: object,
  pending: Promise<unknown[]>,
): Promise<unknown> {
  return Reflect.apply(callback, gateway, await pending);
}

function contextOf(
  gateway: object,
  callback: PipelineParts['callback'],
  args: HandlerArgs,
): ExecutionContext {
  return new ConnectionExecutionContext(args, gateway.constructor as never, callback);
}

/**
 * Asks the guards one after another; a promise only when one of them answers with one.
 *
 * @throws {GuardRefusedError} when one says no
 */
export function admit(
  guards: readonly CanActivate[],
  context: ExecutionContext,
): Promise<void> | undefined {
  for (let index = 0; index < guards.length; index += 1) {
    const answer = guards[index]!.canActivate(context);
    if (typeof answer !== 'boolean') return admitLater(guards.slice(index + 1), context, answer);
    if (!answer) throw new GuardRefusedError();
  }
  return undefined;
}

async function admitLater(
  rest: readonly CanActivate[],
  context: ExecutionContext,
  answer: Promise<boolean> | Observable<boolean>,
): Promise<void> {
  const isAdmitted = await (isObservable(answer) ? lastValueFrom(answer) : answer);
  if (!isAdmitted) throw new GuardRefusedError();
  await admit(rest, context);
}

/** Runs the interceptors around `next`; the answer is what the outermost one gives. */
export function intercept(
  interceptors: readonly NestInterceptor[],
  context: ExecutionContext,
  next: () => unknown,
  settling: SettlingCall,
): unknown {
  const enter = (index: number): unknown => {
    const interceptor = interceptors[index];
    if (!interceptor) return callAndSettle(next, settling);
    const handler: CallHandler = {
      handle: () => new Observable((subscriber) => emitInto(subscriber, () => enter(index + 1))),
    };
    return interceptor.intercept(context, handler);
  };
  return enter(0);
}

function callAndSettle(next: () => unknown, call: SettlingCall): unknown {
  const result = next();
  if (isThenable(result)) {
    const settled = (): void => call.settled();
    result.then(settled, settled);
  } else {
    call.settled();
  }
  return result;
}

// Whatever a handler may answer, as the emissions of a stream.
function emitInto(
  subscriber: Subscriber<unknown>,
  produce: () => unknown,
): (() => void) | undefined {
  let inner: { unsubscribe(): void } | undefined;
  const emit = (result: unknown): void => {
    if (isObservable(result)) inner = result.subscribe(subscriber);
    else {
      subscriber.next(result);
      subscriber.complete();
    }
  };
  try {
    const result = produce();
    if (isThenable(result)) result.then(emit, (error: unknown) => subscriber.error(error));
    else emit(result);
  } catch (error) {
    subscriber.error(error);
  }
  return () => inner?.unsubscribe();
}
