import { Injectable } from '@nestjs/common';

import type { Release } from '../time/clock.js';
import { containedTracer } from './contained-tracer.js';
import type { Tracer } from './tracer.js';

/** Where the tracer of this application is, if it has one. */
@Injectable()
export class Tracing {
  /** Contained: it never throws. */
  tracer: Tracer | undefined = undefined;
  /** @internal As it was given. */
  given: Tracer | undefined = undefined;

  /**
   * Samplers, propagators and span processors are the app's: what they throw is logged, and nothing but the span is
   * lost.
   *
   * @returns ends the tracing
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
