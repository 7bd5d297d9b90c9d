import { Injectable } from '@nestjs/common';

import type { Release } from '../time/clock.js';
import { containedTracer } from './contained-tracer.js';
import type { Tracer } from './tracer.js';

/** Holds the tracer of this application, if it has one. */
@Injectable()
export class Tracing {
  /** Wrapped by {@link containedTracer}: it never throws. */
  tracer: Tracer | undefined = undefined;
  /** @internal The tracer that was passed to {@link use}. */
  given: Tracer | undefined = undefined;

  /**
   * Sets the tracer. Samplers, propagators and span processors belong to the app: their errors are logged, and only the
   * span is lost.
   *
   * @returns a function that ends the tracing
   */
  use(tracer: Tracer): Release {
    const contained = containedTracer(tracer);
    this.tracer = contained;
    this.given = tracer;
    return () => {
      if (this.tracer === contained) this.tracer = this.given = undefined;
    };
  }
}
