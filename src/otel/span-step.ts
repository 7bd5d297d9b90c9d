import { context, type Span, SpanStatusCode, trace } from '@opentelemetry/api';

import type { TracedStep } from '../monitoring/tracer.js';

/** A span that is the active one while parts of its step run. */
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
 * Says what kind of error it was. Not what it said: messages of errors quote what users send, and the
 * log has them.
 */
export function markFailed(span: Span, type: string): void {
  span.setAttribute('error.type', type);
  span.setStatus({ code: SpanStatusCode.ERROR });
}
