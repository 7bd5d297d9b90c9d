import { isObservable, type Observable, type Subscription } from 'rxjs';
import type { WebSocket } from 'ws';

import type { Release } from '../clock/clock.js';
import { runInContext } from '../context/user-execution-context.js';
import type { HandlerOutcome } from '../journal/isolation-events.js';
import { subjectOf } from '../journal/journal.js';
import { isThenable } from '../manager/bounded-run.js';
import { encodeFrame, encodeMessage } from '../manager/delivery-result.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { ExecutionContextHost } from '../nest/nest-internals.js';
import type { ConnectionScope } from '../scope/connection-scope.js';
import type { ConnectionHost } from './connection-host.js';
import { applyFilter, exceptionReply, filterFor, MessageRefusedError } from './exception-reply.js';
import type { GatewayInstance, HandlerPlan } from './gateway-definition.js';
import type { HandlerArgs } from './handler-parameters.js';
import { type HandlerRef, type IsolatedServer, ScopedPlans } from './isolated-server.js';
import { type InboundMessage, messageId } from './message-parser.js';

/** A handler that runs. */
interface RunningCall {
  readonly message: InboundMessage;
  readonly plan: HandlerPlan;
  readonly args: HandlerArgs;
  /** Gives its place back; once. */
  readonly release: (outcome?: HandlerOutcome) => void;
}

/** Open streams (handlers that answered with an observable) of one connection. */
const MAX_STREAMS = 1_000;

/** Runs the handlers of one connection and sends their answers. What they throw stays here. */
export abstract class HandlerRunner {
  /** Handlers that run at this moment. */
  protected running = 0;
  // Made when first needed: an idle connection has none of these.
  #streams: Set<Subscription> | undefined = undefined;
  #plans: ScopedPlans | undefined = undefined;
  #whenIdle: (() => void) | undefined = undefined;

  constructor(
    readonly host: ConnectionHost,
    readonly server: IsolatedServer,
    readonly manager: WebSocketManager,
    readonly scope: ConnectionScope,
    readonly instances: readonly GatewayInstance[],
    readonly client: WebSocket,
  ) {}

  /** A handler has ended: another one may start. */
  protected abstract placeFree(): void;

  protected start(message: InboundMessage, refs: readonly HandlerRef[]): void {
    for (const ref of refs) this.#run(message, ref);
  }

  #run(message: InboundMessage, { gatewayIndex, handler }: HandlerRef): void {
    const plan = handler.sharedPlan ?? (this.#plans ??= new ScopedPlans(this.scope)).of(handler);
    const gateway = this.instances[gatewayIndex]!;
    // The answer is read inside the context too: a stream's code runs when it is subscribed to.
    runInContext(this.manager.context, HandlerRunner.#invoke, this, gateway, plan, message);
  }

  static #invoke(
    this: void,
    connection: HandlerRunner,
    gateway: GatewayInstance,
    plan: HandlerPlan,
    message: InboundMessage,
  ): void {
    const args: HandlerArgs = [connection.client, message.data, message.event];
    const release = connection.host.handled.isHeard
      ? connection.#observed(message, connection.#occupy())
      : connection.#occupy();
    const call: RunningCall = { message, plan, args, release };
    try {
      connection.#settle(plan.run(gateway, args, release), call);
    } catch (error) {
      connection.#fail(error, call);
    }
  }

  // Takes one of the connection's places for running handlers; it is given back once.
  #occupy(): () => void {
    const { traffic } = this.host;
    this.running += 1;
    traffic.inFlight += 1;
    let isReleased = false;
    return () => {
      if (isReleased) return;
      isReleased = true;
      this.running -= 1;
      traffic.inFlight -= 1;
      this.placeFree();
      if (this.running === 0) this.#whenIdle?.();
    };
  }

  // Only while somebody wants to know: the message's outcome and duration, when its place is given back.
  #observed(message: InboundMessage, release: Release): RunningCall['release'] {
    const { clock, handled } = this.host;
    const startedAt = clock.now();
    let isReleased = false;
    return (outcome = 'ok') => {
      release();
      if (isReleased) return;
      isReleased = true;
      handled.publish({
        subject: subjectOf(this.manager.context),
        path: this.server.path,
        event: eventName(message),
        outcome,
        durationMs: clock.now() - startedAt,
      });
    };
  }

  #settle(result: unknown, call: RunningCall): void {
    if (isThenable(result)) {
      result.then(
        (value) => this.#settle(value, call),
        (error: unknown) => this.#fail(error, call),
      );
    } else if (isObservable(result)) {
      this.#stream(result, call);
    } else {
      // In this order: the next message may be answered as soon as the place is free.
      this.#reply(result, call.message);
      call.release();
    }
  }

  #stream(source: Observable<unknown>, call: RunningCall): void {
    const streams = (this.#streams ??= new Set());
    if (!this.manager.isActive) return call.release();
    if (streams.size >= MAX_STREAMS) {
      const error = new MessageRefusedError('TOO_MANY_STREAMS', 'Too many streams are open.');
      this.answerFailure(error, call.message);
      call.release();
      return;
    }
    const stream = source.subscribe({
      next: (value) => this.#reply(value, call.message),
      error: (error: unknown) => this.#fail(error, call),
      complete: () => call.release(),
    });
    // The method has ended: its stream takes no place. Behind interceptors they say when it has.
    if (!call.plan.isIntercepted) call.release();
    if (stream.closed) return;
    streams.add(stream);
    stream.add(() => {
      streams.delete(stream);
      call.release();
    });
  }

  #reply(value: unknown, message: InboundMessage): void {
    if (value === undefined || value === null) return;
    const frame = encodeMessage(value);
    if (frame !== undefined) {
      this.manager.sendFrame(frame);
      return;
    }
    this.#logFailure(new TypeError('the answer cannot be written as JSON'), message);
    this.answerFailure(undefined, message);
  }

  #fail(error: unknown, call: RunningCall): void {
    this.host.traffic.failed += 1;
    this.#answerError(error, call);
    call.release('failed');
  }

  #answerError(error: unknown, { message, plan, args }: RunningCall): void {
    const filter = filterFor(plan.filters, error);
    if (!filter) {
      this.#logFailure(error, message);
      this.answerFailure(error, message);
      return;
    }
    const host = new ExecutionContextHost(args);
    host.setType('ws');
    const onFilterError = (filterError: unknown): void => {
      this.#logFailure(filterError, message);
      this.answerFailure(filterError, message);
    };
    try {
      const result = applyFilter(filter, error, host);
      if (isThenable(result)) void Promise.resolve(result).catch(onFilterError);
    } catch (filterError) {
      onFilterError(filterError);
    }
  }

  protected answerFailure(error: unknown, message: InboundMessage): void {
    const reply = exceptionReply(error, messageId(message));
    // An exception object of the app may hold what JSON cannot express.
    const frame =
      encodeFrame('exception', reply) ??
      encodeFrame('exception', exceptionReply(undefined, messageId(message)));
    if (frame !== undefined) this.manager.sendFrame(frame);
  }

  #logFailure(error: unknown, message: InboundMessage): void {
    this.manager.fail(error);
    const subject = subjectOf(this.manager.context);
    this.host.journal.record('handler-failed', { subject, event: eventName(message), error });
  }

  /** Ends the streams that handlers have answered with. */
  protected endStreams(): void {
    for (const stream of this.#streams ?? []) stream.unsubscribe();
    this.#streams = undefined;
  }

  /** Resolves when no handler runs any more. */
  protected idle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.running === 0) resolve();
      else this.#whenIdle = resolve;
    });
  }
}

// Handlers exist for few events, but what a client calls them by may be long.
function eventName({ event }: InboundMessage): string {
  return String(event).slice(0, 128);
}
