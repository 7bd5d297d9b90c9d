import { isObservable, type Observable, type Subscription } from 'rxjs';
import type { WebSocket } from 'ws';

import { ConnectionCode, type Waiter } from '../context/connection-code.js';
import { runInContext } from '../context/user-execution-context.js';
import type { HandlerOutcome } from '../journal/isolation-events.js';
import { subjectOf } from '../journal/journal.js';
import { isThenable } from '../manager/bounded-run.js';
import { encodeAnswer, encodeFrame, whyNoFrame } from '../manager/delivery-result.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { TracedStep, Tracer } from '../monitoring/tracer.js';
import { ExecutionContextHost } from '../nest/nest-internals.js';
import type { ConnectionScope } from '../scope/connection-scope.js';
import type { ConnectionHost } from './connection-host.js';
import { applyFilter, exceptionReply, filterFor, MessageRefusedError } from './exception-reply.js';
import type { GatewayInstance, HandlerPlan } from './gateway-definition.js';
import type { HandlerArgs } from './handler-parameters.js';
import type { SettlingCall } from './handler-pipeline.js';
import { type HandlerRef, type IsolatedServer, ScopedPlans } from './isolated-server.js';
import { type InboundMessage, messageId } from './message-parser.js';
import { letGo, UnserializableAnswerError } from './unserializable-answer.js';

/** A handler that runs. */
class RunningCall implements SettlingCall {
  readonly args: HandlerArgs;
  /** What its async context has. Small, and apart from the call: it may outlive the connection. */
  readonly code: ConnectionCode;
  isReleased = false;
  /** The connection began to close while its guards or pipes were asked. */
  isDropped = false;
  /** Only while somebody traces. */
  traced: TracedStep | undefined = undefined;

  constructor(
    private readonly runner: HandlerRunner,
    readonly gateway: GatewayInstance,
    readonly plan: HandlerPlan,
    readonly message: InboundMessage,
    /** Monotonic milliseconds; only while somebody wants to know how long handlers take. */
    readonly startedAt: number | undefined,
  ) {
    this.args = [runner.client, message.data, message.event];
    this.code = new ConnectionCode(runner.manager.context, runner);
  }

  mayStart(): boolean {
    return this.runner.mayStartNow(this);
  }

  /** Calls the handler and sends what it answers. Shared by all calls: no closure for each. */
  static readonly run = (call: RunningCall): void => call.runner.invoke(call);

  static readonly settle = (call: RunningCall): void => call.settled();

  settled(): void {
    this.runner.release(this, 'ok');
  }
}

/** Open streams (handlers that answered with an observable) of one connection. */
const MAX_STREAMS = 1_000;

/** Runs the handlers of one connection and sends their answers. What they throw stays here. */
export abstract class HandlerRunner implements Waiter {
  /** Handlers that run at this moment. */
  protected running = 0;
  // Made when first needed: an idle connection has none of these.
  #streams: Set<Subscription> | undefined = undefined;
  #plans: ScopedPlans | undefined = undefined;
  #whenIdle: (() => void) | undefined = undefined;
  #waiting: ConnectionCode[] | undefined = undefined;

  constructor(
    readonly host: ConnectionHost,
    readonly server: IsolatedServer,
    readonly manager: WebSocketManager,
    readonly scope: ConnectionScope,
    readonly instances: readonly GatewayInstance[],
    readonly client: WebSocket,
  ) {}

  /** The teardown of a stream threw. */
  protected abstract streamFailed(error: unknown): void;

  /** A message came to its handler when the connection was closing already. */
  protected abstract cameTooLate(): void;

  /** A handler has ended: another one may start. */
  protected abstract placeFree(): void;

  protected start(message: InboundMessage, refs: readonly HandlerRef[]): void {
    for (const ref of refs) this.#run(message, ref);
  }

  #run(message: InboundMessage, { gatewayIndex, handler }: HandlerRef): void {
    const { traffic, handled, clock, tracing } = this.host;
    const plan = handler.sharedPlan ?? (this.#plans ??= new ScopedPlans(this.scope)).of(handler);
    const startedAt = handled.isHeard ? clock.now() : undefined;
    const call = new RunningCall(this, this.instances[gatewayIndex]!, plan, message, startedAt);
    this.running += 1;
    traffic.inFlight += 1;
    // The answer is read inside the context too: a stream's code runs when it is subscribed to.
    if (tracing.tracer) this.#trace(tracing.tracer, call);
    else runInContext(call.code, RunningCall.run, call);
  }

  #trace(tracer: Tracer, call: RunningCall): void {
    const { manager, server } = this;
    call.traced = tracer.message(manager, server.path, eventName(call.message));
    call.traced.run(() => runInContext(call.code, RunningCall.run, call));
  }

  /** @internal Runs inside the connection's context. */
  invoke(call: RunningCall): void {
    try {
      this.#settle(call.plan.run(call.gateway, call.args, call), call);
    } catch (error) {
      this.#fail(error, call);
    }
  }

  /** @internal Gives the place of a handler back; once. */
  release(call: RunningCall, outcome: HandlerOutcome): void {
    if (call.isReleased) return;
    call.isReleased = true;
    call.code.ended();
    if (this.#waiting) this.#waiting = this.#waiting.filter((code) => code !== call.code);
    this.running -= 1;
    this.host.traffic.inFlight -= 1;
    this.placeFree();
    if (this.#whenIdle) this.#checkIdle();
    call.traced?.end();
    if (call.startedAt === undefined || call.isDropped) return;
    this.#publish(call, call.startedAt, outcome);
  }

  /** @internal Guards and pipes have let a message through, perhaps too late. */
  mayStartNow(call: RunningCall): boolean {
    if (this.manager.mayAct) return true;
    if (!call.isDropped) this.cameTooLate();
    call.isDropped = true;
    return false;
  }

  #publish({ message }: RunningCall, startedAt: number, outcome: HandlerOutcome): void {
    const { clock, handled } = this.host;
    handled.publish({
      subject: subjectOf(this.manager.context),
      path: this.server.path,
      event: eventName(message),
      outcome,
      durationMs: clock.now() - startedAt,
    });
  }

  #settle(result: unknown, call: RunningCall): void {
    if (isThenable(result)) {
      // A promise of Node's own remembers the context; others call back in the context of whoever settles them.
      const promise = result instanceof Promise ? result : Promise.resolve(result);
      promise.then(
        (value) => this.#settle(value, call),
        (error: unknown) => this.#fail(error, call),
      );
    } else if (isObservable(result)) {
      this.#stream(result, call);
    } else {
      // In this order: the next message may be answered as soon as the place is free.
      const isSaid = this.#reply(result, call);
      this.release(call, isSaid ? 'ok' : 'failed');
    }
  }

  #stream(source: Observable<unknown>, call: RunningCall): void {
    const streams = (this.#streams ??= new Set());
    if (!this.manager.isActive) {
      // Behind interceptors the method is called by whoever subscribes: it has not been.
      if (call.plan.isIntercepted && !call.isReleased) this.mayStartNow(call);
      return call.settled();
    }
    if (streams.size >= MAX_STREAMS) {
      const error = new MessageRefusedError('TOO_MANY_STREAMS', 'Too many streams are open.');
      this.answerFailure(error, call.message);
      call.settled();
      return;
    }
    // A source that connections share calls in the context of whoever makes it emit.
    const reply = (value: unknown): void => void this.#reply(value, call);
    const fail = (error: unknown): void => this.#fail(error, call);
    const stream = source.subscribe({
      next: (value) => runInContext(call.code, reply, value),
      error: (error: unknown) => runInContext(call.code, fail, error),
      complete: () => runInContext(call.code, RunningCall.settle, call),
    });
    // The method has ended: its stream takes no place. Behind interceptors they say when it has.
    if (!call.plan.isIntercepted) call.settled();
    if (stream.closed) return;
    streams.add(stream);
    stream.add(() => {
      streams.delete(stream);
      call.settled();
    });
  }

  /** Sends an answer. False where it cannot be said: then the client hears that, and the log why. */
  #reply(value: unknown, call: RunningCall): boolean {
    if (value === undefined || value === null) return true;
    const frame = encodeAnswer(value);
    if (frame === undefined) {
      this.#failAnswer(value, call);
      return false;
    }
    this.manager.sendFrame(frame);
    return true;
  }

  #failAnswer(value: unknown, call: RunningCall): void {
    const error = new UnserializableAnswerError(eventName(call.message), whyNoFrame(value));
    letGo(value);
    this.host.traffic.failed += 1;
    if (!call.isReleased) call.traced?.fail(error);
    this.#logFailure(error, call.message);
    this.answerFailure(error, call.message);
  }

  #fail(error: unknown, call: RunningCall): void {
    this.host.traffic.failed += 1;
    if (!call.isReleased) call.traced?.fail(error);
    this.#answerError(error, call);
    this.release(call, 'failed');
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

  #logFailure(thrown: unknown, message: InboundMessage): void {
    // `undefined` can be thrown as well, and an event without its error would say that nothing was.
    const error = thrown ?? String(thrown);
    this.manager.fail(error);
    const subject = subjectOf(this.manager.context);
    this.host.journal.record('handler-failed', { subject, event: eventName(message), error });
  }

  /** Ends the streams that handlers have answered with. */
  protected endStreams(): void {
    for (const stream of this.#streams ?? []) {
      try {
        stream.unsubscribe();
      } catch (error) {
        this.streamFailed(error);
      }
    }
    this.#streams = undefined;
  }

  /** @internal A handler awaits the end of connections: see {@link idle}. */
  passOver(code: ConnectionCode): () => void {
    (this.#waiting ??= []).push(code);
    if (this.#whenIdle) this.#checkIdle();
    return () => {
      const place = this.#waiting?.indexOf(code) ?? -1;
      if (place !== -1) this.#waiting!.splice(place, 1);
    };
  }

  /** Resolves when no handler runs any more, but for those that await the end of connections themselves. */
  protected idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
      this.#checkIdle();
    });
  }

  #checkIdle(): void {
    if (this.running === new Set(this.#waiting).size) this.#whenIdle?.();
  }
}

// Handlers exist for few events, but what a client calls them by may be long.
function eventName({ event }: InboundMessage): string {
  return String(event).slice(0, 128);
}
