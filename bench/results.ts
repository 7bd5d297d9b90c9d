import type { Metric } from './metrics.js';
import { type Summary, summarise } from './statistics.js';

/** A metric and its summary for each subject. */
export interface Series {
  readonly metric: Metric;
  readonly subjects: ReadonlyMap<string, Summary>;
}

/** The values of all rounds. */
export class Results {
  readonly #series = new Map<string, { metric: Metric; values: Map<string, number[]> }>();

  /** @param subject the subject of the value, usually a candidate's name */
  add(metric: Metric, subject: string, value: number): void {
    const series = this.#series.get(metric.id) ?? { metric, values: new Map<string, number[]>() };
    this.#series.set(metric.id, series);
    series.values.set(subject, [...(series.values.get(subject) ?? []), value]);
  }

  /** @param order the order of the subjects. Rounds begin with a different subject each, so they imply no order. */
  all(order: readonly string[]): Series[] {
    return [...this.#series.values()].map(({ metric, values }) => {
      const present = order.filter((subject) => values.has(subject));
      const subjects = present.map((name) => [name, summarise(values.get(name)!)] as const);
      return { metric, subjects: new Map(subjects) };
    });
  }

  summary(metricId: string, subject: string): Summary | undefined {
    const values = this.#series.get(metricId)?.values.get(subject);
    return values && summarise(values);
  }
}
