import { isObservable } from 'rxjs';
import type { WebSocket } from 'ws';

import type { ConnectionCode } from '../context/connection-code.js';
import { runInContext } from '../context/running-code.js';
import type { GatewayInstance } from '../handlers/gateway-definition.js';
import { type HandlerRef, type IsolatedServer, ScopedPlans } from '../handlers/isolated-server.js';
import type { HandlerOutcome } from '../journal/isolation-events.js';
import type { OpenWork } from '../manager/asks.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Tracer } from '../monitoring/tracer.js';
import type { ConnectionScope } from '../scope/connection-scope.js';
import { isThenable } from '../structures/maybe-async.js';
import type { Release } from '../time/clock.js';
import { type InboundMessage, messageId } from '../wire/message-parser.js';
import { answer, answerError, eventName } from './answers.js';
import { recordHandled } from './connection-events.js';
import type { ConnectionServices } from './connection-services.js';
import { isPullable, type StreamingConnection } from './pulled-stream.js';
import { type CheckingConnection, checkMessage } from './payload-check.js';
import { OpenReplies, type Reply } from './reply.js';
import { type CallRunner, RunningCall } from './running-call.js';
import { Streams } from './streams.js';
import { handleTopicMessage } from './topic-messages.js';
import type { IgnoredReason } from './traffic-counters.js';

/** Stands for the handlers of a message with which a client joins or leaves a topic. */
const TOPIC_REQUEST: readonly HandlerRef[] = [];

/** Runs the handlers of one connection and sends their results. Errors of handlers are handled here. */
export abstract class HandlerRunner implements CallRunner, StreamingConnection, CheckingConnection {
  /** Handlers that run at this moment. */
  running = 0;
  // Created on first use: an idle connection has none of these five.
  #streams: Streams | undefined = undefined;
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

  get path(): string {
    return this.server.path;
  }

  /** @internal Called when the end of a stream threw. */
  abstract streamFailed(error: unknown): void;

  /** @internal Counts a message that is not handled. */
  abstract ignore(reason: IgnoredReason): void;

  /** Called when a handler has ended, so that another one may start. */
  protected abstract placeFree(): void;

  /** The handlers of a message; `undefined` for an event that no code handles. */
  protected handlersOf({ event }: InboundMessage): readonly HandlerRef[] | undefined {
    const refs = this.server.handlersOf(event);
    return this.services.topics.takes(event, refs !== undefined) ? TOPIC_REQUEST : refs;
  }

  /** Calls the handlers of a message. */
  start(message: InboundMessage, refs: readonly HandlerRef[]): void {
    const { services, manager, server } = this;
    if (refs === TOPIC_REQUEST) return handleTopicMessage(services, manager, server.path, message);
    const id = messageId(message);
    const reply =
      id === undefined
        ? undefined
        : (this.#replies ??= new OpenReplies(this.manager)).open(id, refs.length);
    const schema = this.server.contract?.messageOf(message.event)?.data;
    if (schema) checkMessage(this, { schema, message, refs, reply });
    else this.run(message, refs, reply);
  }

  /** @internal Runs the handlers of a message whose data is admitted. */
  run(message: InboundMessage, refs: readonly HandlerRef[], reply: Reply | undefined): void {
    for (const ref of refs) this.runOne(message, ref, reply);
  }

  /** Stops the handlers of a message that its client has cancelled. Returns whether any of them was running. */
  protected cancel(id: string | number): boolean {
    return this.#replies?.cancel(id) ?? false;
  }

  /** The connection is closing: the messages whose handlers still run are refused. */
  protected refuseOpen(): void {
    this.#replies?.refuseAll();
    this.#replies = undefined;
  }

  private runOne(message: InboundMessage, ref: HandlerRef, reply: Reply | undefined): void {
    // The handler of another gateway for the same message may have closed the connection.
    if (!this.manager.mayAct) return this.ignore('closing');
    const { gatewayIndex, handler } = ref;
    const { traffic, handled, clock, tracing } = this.services;
    const plan = handler.sharedPlan ?? (this.#plans ??= new ScopedPlans(this.scope)).of(handler);
    const startedAt = handled.isHeard ? clock.now() : undefined;
    const gateway = this.instances[gatewayIndex]!;
    const call = new RunningCall(this, gateway, plan, message, startedAt, reply);
    reply?.add(call);
    this.running += 1;
    traffic.inFlight += 1;
    // The result is read inside the context too: the code of an observable runs on subscription.
    if (tracing.tracer) this.traceOne(tracing.tracer, call);
    else runInContext(call.code, RunningCall.run, call);
  }

  private traceOne(tracer: Tracer, call: RunningCall): void {
    const { manager, server } = this;
    call.traced = tracer.message(manager, server.path, eventName(call.message));
    call.traced.run(() => runInContext(call.code, RunningCall.run, call));
  }

  /** @internal Runs inside the connection's context. */
  invoke(call: RunningCall): void {
    let result: unknown;
    try {
      result = call.plan.run(call.gateway, call.args, call);
    } catch (error) {
      return this.fail(error, call);
    }
    this.settle(result, call);
  }

  /** @internal Frees the place of a handler. A second call does nothing. */
  release(call: RunningCall, outcome: HandlerOutcome): void {
    if (call.isReleased) return;
    call.isReleased = true;
    call.code.ended();
    if (this.#waiting) this.#waiting = this.#waiting.filter((code) => code !== call.code);
    this.freePlace();
    call.traced?.end();
    if (call.startedAt === undefined || call.isDropped) return;
    recordHandled(this, call.message, call.startedAt, outcome);
  }

  /** @internal Takes a place among the handlers that run, for work before them. @returns gives it back */
  occupy(): Release {
    this.running += 1;
    this.services.traffic.inFlight += 1;
    return () => this.freePlace();
  }

  private freePlace(): void {
    this.running -= 1;
    this.services.traffic.inFlight -= 1;
    this.placeFree();
    if (this.#whenIdle) this.checkIdle();
  }

  /** @internal Whether a message that guards and pipes let through may start. False if the connection is closing. */
  mayStartNow(call: RunningCall): boolean {
    if (this.manager.mayAct) return true;
    if (!call.isDropped) this.ignore('closing');
    call.isDropped = true;
    return false;
  }

  // Reading what an app's code has made may throw. A promise calls this, and no code waits for what it returns.
  private settle(result: unknown, call: RunningCall): void {
    try {
      this.take(result, call);
    } catch (error) {
      this.fail(error, call);
    }
  }

  private take(result: unknown, call: RunningCall): void {
    if (isThenable(result)) {
      // Only a native promise calls back in the async context in which `then` was called.
      const promise = result instanceof Promise ? result : Promise.resolve(result);
      promise.then(
        (value) => this.settle(value, call),
        (error: unknown) => this.fail(error, call),
      );
    } else if (isObservable(result) || isPullable(result)) {
      (this.#streams ??= new Streams(this)).open(result, call);
    } else {
      // In this order: as soon as the place is free, the next message may start and send its own result.
      const isSaid = answer(this, result, call);
      this.over(call, isSaid ? 'ok' : 'failed');
    }
  }

  /** @internal A handler, or its stream, has failed. */
  fail(error: unknown, call: RunningCall): void {
    answerError(this, error, call);
    this.over(call, 'failed');
  }

  /** @internal The call will send nothing more. */
  over(call: RunningCall, outcome: HandlerOutcome): void {
    if (!call.isOver) call.reply?.ended();
    call.isOver = true;
    this.release(call, outcome);
  }

  /** The open streams that handlers have returned. */
  get openStreams(): readonly OpenWork[] {
    return this.#streams?.list ?? [];
  }

  /** Ends the streams that handlers have returned. */
  protected endStreams(): Promise<void> | undefined {
    const ended = this.#streams?.end();
    this.#streams = undefined;
    return ended;
  }

  /** @internal Aborted when the connection closes. */
  get signal(): AbortSignal {
    return this.manager.signal;
  }

  /**
   * @internal A handler awaits the end of connections, so {@link idle} does not wait for it.
   *
   * @returns a function that ends this state
   */
  passOver(code: ConnectionCode): () => void {
    (this.#waiting ??= []).push(code);
    if (this.#whenIdle) this.checkIdle();
    return () => {
      const place = this.#waiting?.indexOf(code) ?? -1;
      if (place !== -1) this.#waiting!.splice(place, 1);
    };
  }

  /** Resolves when no handler runs any more, except handlers that await the end of connections themselves. */
  protected idle(): Promise<void> {
    return new Promise((resolve) => {
      this.#whenIdle = resolve;
      this.checkIdle();
    });
  }

  private checkIdle(): void {
    if (this.running === new Set(this.#waiting).size) this.#whenIdle?.();
  }
}
