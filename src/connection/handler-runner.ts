import { isObservable, type Observable, type Subscription } from 'rxjs';
import type { WebSocket } from 'ws';

import type { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import { MessageRefusedError } from '../handlers/exception-reply.js';
import type { GatewayInstance } from '../handlers/gateway-definition.js';
import { type HandlerRef, type IsolatedServer, ScopedPlans } from '../handlers/isolated-server.js';
import type { HandlerOutcome } from '../journal/isolation-events.js';
import { subjectOf } from '../journal/journal.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Tracer } from '../monitoring/tracer.js';
import type { ConnectionScope } from '../scope/connection-scope.js';
import { isThenable } from '../structures/maybe-async.js';
import { type InboundMessage, messageId } from '../wire/message-parser.js';
import { answer, answerError, answerRefusal, eventName } from './answers.js';
import type { ConnectionServices } from './connection-services.js';
import { OpenReplies, type Reply } from './reply.js';
import { type CallRunner, RunningCall } from './running-call.js';

/** How many streams (observables that handlers returned) of one connection may be open. */
const MAX_STREAMS = 1_000;

/** Stands for the handlers of a message with which a client joins or leaves a topic. */
const TOPIC_REQUEST: readonly HandlerRef[] = [];

/** Runs the handlers of one connection and sends their results. Errors of handlers are handled here. */
export abstract class HandlerRunner implements CallRunner {
  /** Handlers that run at this moment. */
  running = 0;
  // Created on first use: an idle connection has none of these five.
  #streams: Set<Subscription> | undefined = undefined;
  #plans: ScopedPlans | undefined = undefined;
  #whenIdle: (() => void) | undefined = undefined;
  #waiting: ConnectionCode[] | undefined = undefined;
  #replies: OpenReplies | undefined = undefined;

  constructor(
    readonly services: ConnectionServices,
    readonly server: IsolatedServer,
    readonly manager: WebSocketManager,
    readonly scope: ConnectionScope,
    readonly instances: readonly GatewayInstance[],
    readonly client: WebSocket,
  ) {}

  /** Called when the teardown of a stream threw. */
  protected abstract streamFailed(error: unknown): void;

  /** Called when guards and pipes have let a message through, but the connection is closing already. */
  protected abstract cameTooLate(): void;

  /** Called when a handler has ended, so that another one may start. */
  protected abstract placeFree(): void;

  /** The handlers of a message; `undefined` for an event that no code handles. */
  protected handlersOf({ event }: InboundMessage): readonly HandlerRef[] | undefined {
    const refs = this.server.handlersOf(event);
    return this.services.topics.takes(event, refs !== undefined) ? TOPIC_REQUEST : refs;
  }

  /** Calls the handlers of a message. */
  start(message: InboundMessage, refs: readonly HandlerRef[]): void {
    if (refs === TOPIC_REQUEST) return this.services.topics.handle(this.manager, message);
    const id = messageId(message);
    const reply =
      id === undefined
        ? undefined
        : (this.#replies ??= new OpenReplies(this.manager)).open(id, refs.length);
    for (const ref of refs) this.#run(message, ref, reply);
  }

  /** The connection is closing: the messages whose handlers still run are refused. */
  protected refuseOpen(): void {
    this.#replies?.refuseAll();
    this.#replies = undefined;
  }

  #run(
    message: InboundMessage,
    { gatewayIndex, handler }: HandlerRef,
    reply: Reply | undefined,
  ): void {
    const { traffic, handled, clock, tracing } = this.services;
    const plan = handler.sharedPlan ?? (this.#plans ??= new ScopedPlans(this.scope)).of(handler);
    const startedAt = handled.isHeard ? clock.now() : undefined;
    const gateway = this.instances[gatewayIndex]!;
    const call = new RunningCall(this, gateway, plan, message, startedAt, reply);
    this.running += 1;
    traffic.inFlight += 1;
    // The result is read inside the context too: the code of an observable runs on subscription.
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

  /** @internal Frees the place of a handler. A second call does nothing. */
  release(call: RunningCall, outcome: HandlerOutcome): void {
    if (call.isReleased) return;
    call.isReleased = true;
    call.code.ended();
    if (this.#waiting) this.#waiting = this.#waiting.filter((code) => code !== call.code);
    this.running -= 1;
    this.services.traffic.inFlight -= 1;
    this.placeFree();
    if (this.#whenIdle) this.#checkIdle();
    call.traced?.end();
    if (call.startedAt === undefined || call.isDropped) return;
    this.#publish(call, call.startedAt, outcome);
  }

  /** @internal Whether a message that guards and pipes let through may start. False if the connection is closing. */
  mayStartNow(call: RunningCall): boolean {
    if (this.manager.mayAct) return true;
    if (!call.isDropped) this.cameTooLate();
    call.isDropped = true;
    return false;
  }

  #publish({ message }: RunningCall, startedAt: number, outcome: HandlerOutcome): void {
    const { clock, handled } = this.services;
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
      // A native promise calls back in the async context in which `then` was called. Any other promise calls back in
      // the context of the code that settles it.
      const promise = result instanceof Promise ? result : Promise.resolve(result);
      promise.then(
        (value) => this.#settle(value, call),
        (error: unknown) => this.#fail(error, call),
      );
    } else if (isObservable(result)) {
      this.#stream(result, call);
    } else {
      // In this order: as soon as the place is free, the next message may start and send its own result.
      const isSaid = answer(this, result, call);
      this.#over(call, isSaid ? 'ok' : 'failed');
    }
  }

  #stream(source: Observable<unknown>, call: RunningCall): void {
    const streams = (this.#streams ??= new Set());
    if (!this.manager.isActive) {
      // With interceptors, the method is called on subscription: it has not run, so the message is dropped.
      if (call.plan.isIntercepted && !call.isReleased) this.mayStartNow(call);
      return this.#over(call, 'ok');
    }
    if (streams.size >= MAX_STREAMS) {
      const error = new MessageRefusedError('TOO_MANY_STREAMS', 'Too many streams are open.');
      answerRefusal(this, error, call.message, call.reply);
      return this.#over(call, 'ok');
    }
    // A source that connections share emits in the async context of the code that makes it emit.
    // With interceptors, the method is called on subscription.
    const isStream = (): boolean => !call.plan.isIntercepted || call.isStream;
    const reply = (value: unknown): void => void answer(this, value, call, isStream());
    const fail = (error: unknown): void => this.#fail(error, call);
    const stream = source.subscribe({
      next: (value) => runInContext(call.code, reply, value),
      error: (error: unknown) => runInContext(call.code, fail, error),
      complete: () => {
        if (isStream()) call.reply?.complete(call);
        runInContext(call.code, RunningCall.settle, call);
      },
    });
    // The method has ended, and an open stream takes no place among the running handlers. With interceptors, the
    // pipeline reports the end of the method.
    if (!call.plan.isIntercepted) call.settled();
    if (!stream.closed) streams.add(stream);
    // Called at once where the stream has ended already.
    stream.add(() => {
      streams.delete(stream);
      this.#over(call, 'ok');
    });
  }

  #fail(error: unknown, call: RunningCall): void {
    answerError(this, error, call);
    this.#over(call, 'failed');
  }

  // The call will send nothing more.
  #over(call: RunningCall, outcome: HandlerOutcome): void {
    if (!call.isOver) call.reply?.ended();
    call.isOver = true;
    this.release(call, outcome);
  }

  /** Unsubscribes from the streams that handlers have returned. */
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

  /**
   * @internal A handler awaits the end of connections, so {@link idle} does not wait for it.
   *
   * @returns a function that ends this state
   */
  passOver(code: ConnectionCode): () => void {
    (this.#waiting ??= []).push(code);
    if (this.#whenIdle) this.#checkIdle();
    return () => {
      const place = this.#waiting?.indexOf(code) ?? -1;
      if (place !== -1) this.#waiting!.splice(place, 1);
    };
  }

  /** Resolves when no handler runs any more, except handlers that await the end of connections themselves. */
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
