import type { StateMetric } from './metric.js';
import type { MetricValue } from './metric-value.js';

type Read = StateMetric['read'];

/** A number that goes up and down. */
export function gauge(
  name: string,
  help: string,
  read: Read,
  labels: readonly string[] = [],
): StateMetric {
  return { name, kind: 'gauge', help, labels, read };
}

/** A number that only grows. */
export function counter(
  name: string,
  help: string,
  read: Read,
  labels: readonly string[] = [],
): StateMetric {
  return { name, kind: 'counter', help, labels, read };
}

/** A value for each key, with the key as a label. */
export function samplesOf(counts: Readonly<Record<string, number>>, label: string): MetricValue[] {
  return Object.entries(counts).map(([key, value]) => ({ labels: { [label]: key }, value }));
}
