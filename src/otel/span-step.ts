import { context, type Span, SpanStatusCode, trace } from '@opentelemetry/api';

import type { TracedStep } from '../monitoring/tracer.js';

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

/**
 * Marks a span as failed, with the type of the error. The message of the error is left out, because it may quote user
 * input; the log has it.
 */
export function markFailed(span: Span, type: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR });
}
