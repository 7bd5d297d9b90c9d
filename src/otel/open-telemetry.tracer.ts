import type { IncomingMessage } from 'node:http';

import {
  type Attributes,
  context,
  type Link,
  propagation,
  ROOT_CONTEXT,
  type SpanContext,
  SpanKind,
  type SpanOptions,
  trace,
  type Tracer as OpenTelemetry,
} from '@opentelemetry/api';

import type { DeliveryTarget } from '../cluster/cluster-delivery.js';
import type { EventSubject, IsolationEvents } from '../journal/isolation-events.js';
import type { AskTarget } from '../manager/asking.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type {
  TracedHandshake,
  TracedSend,
  TracedStep,
  TracedStream,
  Tracer,
} from '../monitoring/tracer.js';
import { audienceAttributes, httpAttributes } from './span-attributes.js';
import { ConnectStep, markFailed, SendStep, SpanStep, StreamStep } from './span-step.js';

const SWITCHING_PROTOCOLS = 101;

/** The options of the spans. */
export interface WebSocketIsolationTracingOptions {
  /**
   * Whether spans name users, threads and topics (`user.id`, `ws_isolation.thread.id`, `ws_isolation.topic`).
   * Default: false.
   */
  readonly includeIdentity?: boolean;
}

/**
 * Makes spans. The span of a handshake continues the trace of the upgrade request, if it has one; the span of the
 * connect hooks is its child. A connection may live for hours, so messages, renewals of the identity and the end of a
 * connection are traces of their own, with a link to the handshake.
 */
export class OpenTelemetryTracer implements Tracer {
  // The handshakes of connections that exist: added on admission, removed at the end of the connection.
  readonly #handshakes = new Map<string, SpanContext>();

  constructor(
    private readonly tracer: OpenTelemetry,
    private readonly options: WebSocketIsolationTracingOptions,
  ) {}

  /** @internal The number of handshakes that are kept as targets of links. */
  get remembered(): number {
    return this.#handshakes.size;
  }

  handshake(request: IncomingMessage, path: string, address?: string): TracedHandshake {
    const parent = propagation.extract(ROOT_CONTEXT, request.headers);
    const attributes = { 'ws_isolation.path': path, ...httpAttributes(request, path, address) };
    const options = { kind: SpanKind.SERVER, attributes };
    const span = this.tracer.startSpan(`websocket handshake ${path}`, options, parent);
    const step = new SpanStep(span);
    return {
      run: (part) => step.run(part),
      admitted: (manager) => {
        span.setAttributes({
          'http.response.status_code': SWITCHING_PROTOCOLS,
          ...this.#identity(manager.context),
        });
        // If the connection has closed meanwhile, `disposed()` may have run already and would not remove the entry.
        if (manager.isActive) {
          this.#handshakes.set(manager.context.connectionId, span.spanContext());
        }
        span.end();
      },
      refused: ({ reason, status, closeCode }) => {
        span.setAttributes({
          'ws_isolation.refusal.reason': reason,
          'http.response.status_code': closeCode === undefined ? status : SWITCHING_PROTOCOLS,
          ...(closeCode !== undefined && { 'ws_isolation.close.code': closeCode }),
        });
        if (status >= 500) markFailed(span, reason);
        span.end();
      },
      gone: () => {
        markFailed(span, 'gone');
        span.end();
      },
    };
  }

  connect(manager: WebSocketManager, path: string): TracedStep {
    const handshake = this.#handshakes.get(manager.context.connectionId);
    const parent = handshake ? trace.setSpanContext(ROOT_CONTEXT, handshake) : ROOT_CONTEXT;
    const attributes = { 'ws_isolation.path': path, ...this.#identity(manager.context) };
    const span = this.tracer.startSpan(`websocket connect ${path}`, { attributes }, parent);
    return new ConnectStep(span, manager);
  }

  renewal({ context: subject }: WebSocketManager, path: string): TracedStep {
    const attributes = { 'ws_isolation.path': path, ...this.#identity(subject) };
    const options = { kind: SpanKind.SERVER, attributes };
    return new SpanStep(this.#startRoot('websocket renewal', subject, options));
  }

  message(manager: WebSocketManager, path: string, event: string): TracedStep {
    const { context: subject } = manager;
    const span = this.#startRoot(`websocket message ${event}`, subject, {
      kind: SpanKind.SERVER,
      attributes: {
        'ws_isolation.path': path,
        'ws_isolation.event': event,
        ...this.#identity(subject),
      },
    });
    return new SpanStep(span);
  }

  // Part of the trace of its message.
  stream(manager: WebSocketManager, path: string, event: string): TracedStream {
    const attributes = {
      'ws_isolation.path': path,
      'ws_isolation.event': event,
      ...this.#identity(manager.context),
    };
    const name = `websocket stream ${event}`;
    return new StreamStep(this.tracer.startSpan(name, { attributes }, context.active()));
  }

  // Part of the trace of the code that asks: a handler, or a worker of the app.
  ask({ userId, threadId, connectionId }: AskTarget, event: string): TracedStep {
    const attributes: Attributes = { 'ws_isolation.event': event };
    if (connectionId !== undefined) attributes['ws_isolation.connection.id'] = connectionId;
    if (this.options.includeIdentity) {
      attributes['user.id'] = userId;
      if (threadId !== undefined) attributes['ws_isolation.thread.id'] = threadId;
    }
    const options = { kind: SpanKind.CLIENT, attributes };
    return new SpanStep(this.tracer.startSpan(`websocket ask ${event}`, options, context.active()));
  }

  // Part of the trace of the code that sends, as a question is.
  send(target: DeliveryTarget, event: string): TracedSend {
    const attributes: Attributes = {
      'ws_isolation.event': event,
      ...audienceAttributes(target, this.options.includeIdentity),
    };
    const options = { kind: SpanKind.PRODUCER, attributes };
    return new SendStep(
      this.tracer.startSpan(`websocket send ${event}`, options, context.active()),
    );
  }

  /** Makes the span of the end of a connection: from the start of closing until it is fully disposed of. */
  disposed({ subject, reason, disposalMs }: IsolationEvents['manager-disposed']): void {
    const now = Date.now();
    const span = this.#startRoot('websocket dispose', subject, {
      startTime: now - disposalMs,
      attributes: {
        'ws_isolation.close.code': reason.code,
        'ws_isolation.close.initiator': reason.initiator,
        ...this.#identity(subject),
      },
    });
    span.end(now);
    this.#handshakes.delete(subject.connectionId);
  }

  cleaned(report: IsolationEvents['cleanup-finished']): void {
    // Most clean-ups, which run every few seconds, remove nothing.
    if (report.removed === 0) return;
    const now = Date.now();
    const options: SpanOptions = {
      root: true,
      startTime: now - report.durationMs,
      attributes: {
        'ws_isolation.cleanup.kind': report.kind,
        'ws_isolation.cleanup.removed': report.removed,
        'ws_isolation.cleanup.abandoned': report.abandoned.length,
      },
    };
    const span = this.tracer.startSpan(`websocket cleanup ${report.kind}`, options);
    if (report.timedOut) markFailed(span, 'timeout');
    span.end(now);
  }

  #startRoot(name: string, { connectionId }: EventSubject, options: SpanOptions) {
    const handshake = this.#handshakes.get(connectionId);
    const links: Link[] = handshake ? [{ context: handshake }] : [];
    return this.tracer.startSpan(name, { root: true, links, ...options }, context.active());
  }

  #identity({ connectionId, userId, threadId }: EventSubject): Attributes {
    const attributes: Attributes = { 'ws_isolation.connection.id': connectionId };
    if (!this.options.includeIdentity) return attributes;
    return { ...attributes, 'user.id': userId, 'ws_isolation.thread.id': threadId };
  }
}
