import { Inject, Injectable, type OnApplicationShutdown, type OnModuleInit } from '@nestjs/common';
import type { Registry } from 'prom-client';

import type { Release } from '../time/clock.js';
import { IsolationError } from '../errors/isolation-error.js';
import { IsolationEventBus } from '../journal/event-bus.js';
import { CLUSTER_METRICS } from './cluster.metrics.js';
import { EVENT_METRICS } from './event.metrics.js';
import {
  addEventMetric,
  addStateMetric,
  type MetricDefinition,
  type PromClient,
} from './metric.js';
import { MetricSources } from './metric-sources.js';
import { STATE_METRICS } from './state.metrics.js';

/** How the metrics are exposed. */
export interface WebSocketIsolationMetricsOptions {
  /** Registry of the metrics. Default: prom-client's own `register`, which has the other metrics of the app. */
  readonly registry?: Registry;
  /** Prefix of the names of the metrics. Default: `ws_isolation_`. */
  readonly prefix?: string;
  /** Path at which the whole registry is served, for example `'metrics'`. Default: not served. */
  readonly path?: string;
}

/** Injection token of the {@link WebSocketIsolationMetricsOptions}. */
export const METRICS_OPTIONS: unique symbol = Symbol('websocket-isolation:metrics-options');

/** Injection token of the package `prom-client`. */
export const PROM_CLIENT: unique symbol = Symbol('websocket-isolation:prom-client');

export const DEFAULT_PREFIX = 'ws_isolation_';

/** All metrics, with their names without the prefix. */
export const ISOLATION_METRICS: readonly MetricDefinition[] = [
  ...STATE_METRICS,
  ...CLUSTER_METRICS,
  ...EVENT_METRICS,
].map(({ name, kind, help, labels }) => ({ name, kind, help, labels }));

/** The metrics of this application, for as long as it runs. */
@Injectable()
export class WebSocketIsolationMetrics implements OnModuleInit, OnApplicationShutdown {
  /** Registry of the metrics. */
  readonly registry: Registry;
  readonly #prefix: string;
  #releases: Release[] = [];

  /** @internal @throws {IsolationError} `INVALID_METRIC_PREFIX` for a prefix that Prometheus does not accept */
  constructor(
    @Inject(METRICS_OPTIONS) options: WebSocketIsolationMetricsOptions,
    @Inject(PROM_CLIENT) private readonly client: PromClient,
    private readonly sources: MetricSources,
    private readonly bus: IsolationEventBus,
  ) {
    this.registry = options.registry ?? client.register;
    this.#prefix = options.prefix ?? DEFAULT_PREFIX;
    if (!/^[a-zA-Z_:][\w:]*$/.test(this.#prefix)) throw invalidPrefix(this.#prefix);
  }

  /** @throws {IsolationError} `METRICS_TAKEN` if the registry already has a metric with one of the names */
  onModuleInit(): void {
    const { registry, sources, bus } = this;
    const prefix = this.#prefix;
    const taken = ISOLATION_METRICS.find(({ name }) => registry.getSingleMetric(prefix + name));
    if (taken) throw namesTaken(prefix + taken.name);
    const read = sources.cluster ? [...STATE_METRICS, ...CLUSTER_METRICS] : STATE_METRICS;
    for (const metric of read) {
      this.#releases.push(addStateMetric(this.client, metric, registry, prefix, sources));
    }
    for (const metric of EVENT_METRICS) {
      this.#releases.push(addEventMetric(this.client, metric, registry, prefix, bus));
    }
  }

  // In the last hook, so that the last scrape still sees the drain.
  onApplicationShutdown(): void {
    this.#releases.splice(0).forEach((release) => release());
  }
}

function invalidPrefix(prefix: string): IsolationError {
  return new IsolationError(
    'INVALID_METRIC_PREFIX',
    `"${prefix}" cannot begin the name of a metric. ` +
      'Use letters, digits, `_` and `:`, and no digit in front, for example `my_app_`.',
  );
}

function namesTaken(name: string): IsolationError {
  return new IsolationError(
    'METRICS_TAKEN',
    `The metric ${name} exists already in this registry: two applications of one process share it, or ` +
      'the module is imported twice. Give each its own `registry: new Registry()` or `prefix`.',
  );
}
