import type { DeliveryTarget } from '../cluster/cluster-delivery.js';
import type { Tracer } from '../monitoring/tracer.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import type { Audience, SharedAudience } from './audience.js';

/** Stands for the event of a binary frame, which has none. */
const BINARY = '(binary)';

/**
 * Makes a span of each message that is sent to an audience. Questions have spans of their own. Without a tracer, the
 * audience is returned as it is.
 */
export function tracedAudience<A extends Audience>(
  audience: A,
  target: DeliveryTarget,
  tracer: Tracer | undefined,
): A {
  if (!tracer) return audience;
  const sends = new TracedSends(tracer, target);
  const { sendCritical, except } = audience as Audience & Partial<SharedAudience>;
  const traced: Audience & Partial<SharedAudience> = {
    ...audience,
    send: (event, data, options) => sends.now(event, () => audience.send(event, data, options)),
    sendAsync: (event, data, options) =>
      sends.later(event, () => audience.sendAsync(event, data, options)),
    sendBinary: (bytes, options) => sends.now(BINARY, () => audience.sendBinary(bytes, options)),
  };
  if (sendCritical) {
    traced.sendCritical = (event, data) => sends.now(event, () => sendCritical(event, data));
  }
  if (except) {
    traced.except = (excepted) => tracedAudience(except(excepted), target, tracer);
  }
  return traced as A;
}

class TracedSends {
  constructor(
    private readonly tracer: Tracer,
    private readonly target: DeliveryTarget,
  ) {}

  now(event: string, send: () => DeliveryReport): DeliveryReport {
    const span = this.tracer.send(this.target, event);
    try {
      const report = span.run(send);
      span.ended(report);
      return report;
    } catch (error) {
      span.failed(error);
      throw error;
    }
  }

  async later<Report extends DeliveryReport>(
    event: string,
    send: () => Promise<Report>,
  ): Promise<Report> {
    const span = this.tracer.send(this.target, event);
    try {
      const report = await span.run(send);
      span.ended(report);
      return report;
    } catch (error) {
      span.failed(error);
      throw error;
    }
  }
}
