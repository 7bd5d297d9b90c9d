import { context, type Span, SpanStatusCode, trace } from '@opentelemetry/api';

import type { StreamOutcome } from '../journal/isolation-events.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { TracedSend, TracedStep, TracedStream } from '../monitoring/tracer.js';
import type { DeliveryReport } from '../wire/delivery-result.js';

/** A span that is active while parts of its step run. */
export class SpanStep implements TracedStep {
  constructor(protected readonly span: Span) {}

  run<T>(part: () => T): T {
    return context.with(trace.setSpan(context.active(), this.span), part);
  }

  fail(error: unknown): void {
    markFailed(this.span, error instanceof Error ? error.name : typeof error);
  }

  end(): void {
    this.span.end();
  }
}

/** The span of a stream. */
export class StreamStep extends SpanStep implements TracedStream {
  ended(outcome: StreamOutcome, items: number): void {
    this.span.setAttributes({
      'ws_isolation.stream.outcome': outcome,
      'ws_isolation.stream.items': items,
    });
    this.end();
  }
}

/** The span of the connect hooks. */
export class ConnectStep extends SpanStep {
  constructor(
    span: Span,
    private readonly manager: WebSocketManager,
  ) {
    super(span);
  }

  // A hook that fails closes the connection, with the close code of its cause.
  override end(): void {
    const { closeReason } = this.manager;
    if (closeReason?.initiator === 'server') {
      this.span.setAttribute('ws_isolation.close.code', closeReason.code);
      markFailed(this.span, closeReason.reason);
    }
    super.end();
  }
}

/** The span of a message to an audience. */
export class SendStep extends SpanStep implements TracedSend {
  ended({ sent, queued, dropped }: DeliveryReport): void {
    this.span.setAttributes({
      'ws_isolation.send.delivered': sent + queued,
      'ws_isolation.send.dropped': dropped,
    });
    this.end();
  }

  failed(error: unknown): void {
    this.fail(error);
    this.end();
  }
}

/**
 * Marks a span as failed, with the type of the error. The message of the error is left out, because it may quote user
 * input; the log has it.
 */
export function markFailed(span: Span, type: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR });
}
