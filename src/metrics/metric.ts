import type { Counter, Gauge, Registry } from 'prom-client';

import type { Release } from '../time/clock.js';
import type { IsolationEventBus } from '../journal/event-bus.js';
import type { IsolationEventName, IsolationEvents } from '../journal/isolation-events.js';
import type { MetricSources } from './metric-sources.js';
import type { MetricValue } from './metric-value.js';

/** A metric without its values. */
export interface MetricDefinition {
  /** Without the prefix. */
  readonly name: string;
  readonly kind: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly string[];
}

/** A metric that is read from the live state at each scrape. */
export interface StateMetric extends MetricDefinition {
  readonly kind: 'counter' | 'gauge';
  readonly read: (sources: MetricSources) => number | readonly MetricValue[];
}

/** The package `prom-client`, loaded. */
export type PromClient = Pick<
  typeof import('prom-client'),
  'Counter' | 'Gauge' | 'Histogram' | 'register'
>;

type Reader<Name extends IsolationEventName> = (details: IsolationEvents[Name]) => MetricValue;

/** A metric of events whose numbers are kept nowhere else: counts the events, or measures their values. */
export interface EventMetric extends MetricDefinition {
  readonly kind: 'counter' | 'histogram';
  readonly buckets?: readonly number[];
  readonly events: { readonly [Name in IsolationEventName]?: Reader<Name> };
}

/** Registers a metric that is read from `sources`. @returns a function that removes it */
export function addStateMetric(
  client: PromClient,
  metric: StateMetric,
  registry: Registry,
  prefix: string,
  sources: MetricSources,
): Release {
  const setUp = setUpOf(metric, prefix);
  const read = (): readonly MetricValue[] => {
    const value = metric.read(sources);
    return typeof value === 'number' ? [{ labels: {}, value }] : value;
  };
  if (metric.kind === 'gauge') {
    const collect = function collect(this: Gauge): void {
      this.reset();
      for (const { labels, value } of read()) this.set(labels, value);
    };
    registry.registerMetric(new client.Gauge({ ...setUp, collect }));
  } else {
    // The total is counted elsewhere. A counter of prom-client can only be incremented, so each scrape starts it at
    // zero.
    const collect = function collect(this: Counter): void {
      this.reset();
      for (const { labels, value } of read()) this.inc(labels, value);
    };
    registry.registerMetric(new client.Counter({ ...setUp, collect }));
  }
  return () => registry.removeSingleMetric(setUp.name);
}

/** Registers a metric that events update. @returns a function that removes it */
export function addEventMetric(
  client: PromClient,
  metric: EventMetric,
  registry: Registry,
  prefix: string,
  bus: IsolationEventBus,
): Release {
  const setUp = setUpOf(metric, prefix);
  let note: (sample: MetricValue) => void;
  if (metric.kind === 'counter') {
    const counter = new client.Counter(setUp);
    registry.registerMetric(counter);
    note = ({ labels, value }) => counter.inc(labels, value);
  } else {
    const histogram = new client.Histogram({ ...setUp, buckets: [...(metric.buckets ?? [])] });
    registry.registerMetric(histogram);
    note = ({ labels, value }) => histogram.observe(labels, value);
  }
  const releases = Object.entries(metric.events).map(([event, read]) => {
    const sampleOf = read as (details: object) => MetricValue;
    return bus.on(event as IsolationEventName, (details) => note(sampleOf(details)));
  });
  return () => {
    releases.forEach((release) => release());
    registry.removeSingleMetric(setUp.name);
  };
}

function setUpOf({ name, help, labels }: MetricDefinition, prefix: string): SetUp {
  return { name: prefix + name, help, labelNames: labels, registers: [] };
}

interface SetUp {
  readonly name: string;
  readonly help: string;
  readonly labelNames: readonly string[];
  /** Empty: each metric is registered explicitly, in the registry that the options name. */
  readonly registers: Registry[];
}
