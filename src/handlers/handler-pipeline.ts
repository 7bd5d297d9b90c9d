import type { CallHandler, CanActivate, ExecutionContext, NestInterceptor } from '@nestjs/common';
import { WsException } from '@nestjs/websockets';
import { isObservable, lastValueFrom, Observable, type Subscriber } from 'rxjs';

import { runInContext, runningCode } from '../context/running-code.js';
import { isThenable } from '../structures/maybe-async.js';
import { FORBIDDEN_MESSAGE } from '../nest/nest-internals.js';
import { ConnectionExecutionContext } from './connection-execution-context.js';
import type { ArgumentsReader, HandlerArgs } from './handler-parameters.js';

/** The parts that one handler is composed of. */
export interface PipelineParts {
  readonly callback: (...args: unknown[]) => unknown;
  readonly guards: readonly CanActivate[];
  readonly interceptors: readonly NestInterceptor[];
  readonly parameters: ArgumentsReader;
}

/**
 * The call of a handler, as the pipeline sees it. The pipeline reports the end of the method itself if there are
 * interceptors, because an interceptor may turn its result into a stream that ends later.
 */
export interface SettlingCall {
  /** Set where the method, and not an interceptor, returned several values. */
  isStream?: boolean;
  settled(): void;
  /** Whether the method may still be called, now that guards, interceptors or asynchronous pipes have run. */
  mayStart(): boolean;
}

/**
 * Runs a handler with its guards, interceptors and pipes. Returns a value, a promise or an observable; synchronously
 * if no step is asynchronous. Calls `call.settled()` only if there are interceptors: without them, the result shows
 * when the method has ended.
 */
export type Pipeline = (gateway: object, args: HandlerArgs, call: SettlingCall) => unknown;

/** A guard refused the message or the connection. */
export class GuardRefusedError extends WsException {
  constructor() {
    super(FORBIDDEN_MESSAGE);
  }
}

/** Composes a handler once, so that a message only runs through the steps that the handler has. */
export function composePipeline(parts: PipelineParts): Pipeline {
  const { guards, interceptors, callback, parameters } = parts;
  if (guards.length === 0 && interceptors.length === 0) {
    if (!parameters.needContext) {
      return (gateway, args, call) =>
        invoke(callback, gateway, parameters.read(args, undefined), call);
    }
    return (gateway, args, call) => {
      const context = contextOf(gateway, callback, args);
      return invoke(callback, gateway, parameters.read(args, context), call);
    };
  }
  return (gateway, args, settling) => {
    const context = contextOf(gateway, callback, args);
    const next = (): unknown =>
      // The connection may have ended while a guard or an interceptor was running.
      settling.mayStart()
        ? invoke(callback, gateway, parameters.read(args, context), settling)
        : undefined;
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
  call: SettlingCall,
): unknown {
  return Array.isArray(values)
    ? Reflect.apply(callback, gateway, values)
    : invokeLater(callback, gateway, values, call);
}

// Separate from `invoke`: a closure there would cost every message, even if nothing is awaited.
async function invokeLater(
  callback: PipelineParts['callback'],
  gateway: object,
  pending: Promise<unknown[]>,
  call: SettlingCall,
): Promise<unknown> {
  const values = await pending;
  return call.mayStart() ? Reflect.apply(callback, gateway, values) : undefined;
}

function contextOf(
  gateway: object,
  callback: PipelineParts['callback'],
  args: HandlerArgs,
): ExecutionContext {
  return new ConnectionExecutionContext(args, gateway.constructor as never, callback);
}

/**
 * Runs the guards one after another. Returns a promise only if a guard is asynchronous.
 *
 * @throws {GuardRefusedError} when a guard refuses
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

/** Runs the interceptors around `next`. Returns the result of the outermost interceptor. */
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
    // Here and below: a native promise calls back in the async context in which `then` was called. Any other promise
    // calls back in the context of the code that settles it.
    const promise = Promise.resolve(result);
    promise.then(settled, settled);
    return promise;
  }
  call.settled();
  if (!isObservable(result)) return result;
  call.isStream = true;
  return emittingHere(result);
}

// A source that connections share emits in the async context of the code that makes it emit. Interceptors have to run
// in the context of their own connection.
function emittingHere(source: Observable<unknown>): Observable<unknown> {
  const run = runningCode();
  if (!run) return source;
  return new Observable((subscriber) => {
    const next = (value: unknown): void => subscriber.next(value);
    const error = (thrown: unknown): void => subscriber.error(thrown);
    const complete = (): void => subscriber.complete();
    return source.subscribe({
      next: (value) => runInContext(run, next, value),
      error: (thrown: unknown) => runInContext(run, error, thrown),
      complete: () => runInContext(run, complete, undefined),
    });
  });
}

// Emits the result of a handler into a stream: a value, a promise or an observable.
function emitInto(
  subscriber: Subscriber<unknown>,
  produce: () => unknown,
): (() => void) | undefined {
  let inner: { unsubscribe(): void } | undefined;
  // Reading a result may throw, also in the callback of a promise.
  const emit = (produced: () => unknown): void => {
    try {
      const result = produced();
      if (isThenable(result)) {
        Promise.resolve(result).then(
          (value) => emit(() => value),
          (error: unknown) => subscriber.error(error),
        );
      } else if (isObservable(result)) inner = result.subscribe(subscriber);
      else {
        subscriber.next(result);
        subscriber.complete();
      }
    } catch (error) {
      subscriber.error(error);
    }
  };
  emit(produce);
  return () => inner?.unsubscribe();
}
