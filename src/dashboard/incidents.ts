import { Inject, Injectable } from '@nestjs/common';

import { type Clock, CLOCK } from '../time/clock.js';
import { type Cluster, CLUSTER } from '../cluster/cluster.js';
import type { ClusterNode } from '../cluster/cluster-status.js';
import { Limits } from '../manager/limits.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { LeakDetector } from '../monitoring/leak.detector.js';
import { ThreadConsistencyTracker } from '../monitoring/thread-consistency.tracker.js';
import { Drain } from '../shutdown/drain.js';
import type { LoadSample } from './history.js';
import { Watch } from './watch.js';

/** What can be wrong. The page has the words, the advice and the section of each. */
export const INCIDENTS = [
  'isolation-violated',
  'leaking',
  'cluster-away',
  'node-gone',
  'refusing',
  'failing',
  'event-loop-busy',
  'users-full',
  'nearly-full',
  'draining',
] as const;
export type IncidentKind = (typeof INCIDENTS)[number];

/** Something that is wrong now. */
export interface Incident {
  readonly kind: IncidentKind;
  /** Epoch milliseconds at which it began, or was seen first. */
  readonly since: number;
  /** How many, in the unit of its kind: connections, users, per minute, or percent. */
  readonly count?: number;
  /** Which node, or which error. */
  readonly what?: string;
}

type Finding = Omit<Incident, 'since'> & { readonly since?: number };

/** Refusals per minute that are an incident, if they are a tenth of all arrivals at least. */
const MANY_REFUSALS = 6;
const LARGE_SHARE = 0.1;
/** Share of time in which the event loop is busy, from which on latencies grow visibly. */
const BUSY = 0.9;
const NEARLY_FULL = 0.9;
/** Milliseconds for which a violation, or a node that has vanished, is reported. */
const REPORTED_MS = 15 * 60_000;
/** Milliseconds whose mean decides, so that one slow sample is no incident. Older samples say nothing about now. */
const DECIDING_MS = 30_000;

/** Finds what is wrong in the state of this process and of its cluster, most severe first. */
@Injectable()
export class Incidents {
  /** When each was seen first. Holds only what is wrong now. */
  readonly #since = new Map<string, number>();
  #nodes: readonly ClusterNode[] = [];
  #gone: readonly { readonly name: string; readonly at: number }[] = [];

  #violated = { count: 0, at: Number.NEGATIVE_INFINITY };

  constructor(
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: ManagerRegistry,
    private readonly limits: Limits,
    private readonly factory: WebSocketManagerFactory,
    private readonly leaks: LeakDetector,
    private readonly tracker: ThreadConsistencyTracker,
    private readonly drain: Drain,
    private readonly watch: Watch,
    @Inject(CLUSTER) private readonly cluster: Cluster | undefined,
  ) {}

  /** @param fullUsers how many users hold all their slots */
  read(fullUsers: number): Incident[] {
    const findings = [
      ...this.#isolation(),
      ...this.#ofCluster(),
      ...this.#traffic(),
      ...this.#capacity(fullUsers),
    ];
    const now = this.clock.epoch();
    const known = new Set<string>();
    const incidents: Incident[] = [];
    for (const finding of findings) {
      const key = `${finding.kind} ${finding.what ?? ''}`;
      known.add(key);
      const since = finding.since ?? this.#since.get(key) ?? now;
      this.#since.set(key, since);
      incidents.push({ ...finding, since });
    }
    for (const key of this.#since.keys()) if (!known.has(key)) this.#since.delete(key);
    return incidents;
  }

  *#isolation(): Iterable<Finding> {
    const now = this.clock.epoch();
    const { securityViolations } = this.factory.counters;
    const count = securityViolations + this.tracker.getReport().inconsistent;
    if (count > this.#violated.count) this.#violated = { count, at: now };
    const { at } = this.#violated;
    if (now - at < REPORTED_MS) yield { kind: 'isolation-violated', count, since: at };
    const { suspects } = this.leaks.getReport();
    if (suspects.length > 0) yield { kind: 'leaking', count: suspects.length };
  }

  *#ofCluster(): Iterable<Finding> {
    const { cluster, clock } = this;
    if (!cluster) return;
    const { state, since, lastError, nodes } = cluster.status();
    const isAway = state === 'local' || state === 'open' || state === 'closed';
    if (isAway) yield { kind: 'cluster-away', since, ...(lastError && { what: lastError }) };
    // While the cluster is away, its list of nodes is the last one that arrived.
    if (state === 'up') this.#compare(nodes);
    this.#gone = this.#gone.filter(({ at }) => clock.epoch() - at < REPORTED_MS);
    for (const { name, at } of this.#gone) yield { kind: 'node-gone', what: name, since: at };
  }

  // A node that leaves in an orderly way is seen draining first.
  #compare(nodes: readonly ClusterNode[]): void {
    const ids = new Set(nodes.map(({ nodeId }) => nodeId));
    const names = new Set(nodes.map(({ name }) => name));
    const at = this.clock.epoch();
    const vanished = this.#nodes.filter(
      ({ nodeId, isDraining }) => !isDraining && !ids.has(nodeId),
    );
    this.#gone = [...this.#gone, ...vanished.map(({ name }) => ({ name, at }))].filter(
      // The node was started again under its name.
      ({ name }) => !names.has(name),
    );
    this.#nodes = nodes;
  }

  *#traffic(): Iterable<Finding> {
    const latest = this.watch.history.since(this.clock.epoch() - DECIDING_MS);
    const mean = (name: 'refused' | 'opened' | 'messages' | 'failed' | 'busy'): number =>
      meanOf(latest, name);
    const refused = mean('refused');
    const isMany = refused * 60 >= MANY_REFUSALS;
    if (isMany && refused >= LARGE_SHARE * (refused + mean('opened'))) {
      yield { kind: 'refusing', count: Math.round(refused * 60) };
    }
    const failed = mean('failed');
    if (failed * 60 >= MANY_REFUSALS && failed >= LARGE_SHARE * mean('messages')) {
      yield { kind: 'failing', count: Math.round(failed * 60) };
    }
    const busy = mean('busy');
    if (busy >= BUSY) yield { kind: 'event-loop-busy', count: Math.round(busy * 100) };
  }

  *#capacity(fullUsers: number): Iterable<Finding> {
    const { registry, limits, drain } = this;
    if (fullUsers > 0) yield { kind: 'users-full', count: fullUsers };
    const share = registry.size / limits.maxManagers;
    if (share >= NEARLY_FULL) yield { kind: 'nearly-full', count: Math.round(share * 100) };
    if (drain.isDraining) yield { kind: 'draining', count: registry.size };
  }
}

function meanOf(
  samples: readonly LoadSample[],
  name: 'refused' | 'opened' | 'messages' | 'failed' | 'busy',
): number {
  const values = samples.flatMap(({ [name]: value }) => (value === null ? [] : [value]));
  return values.length === 0 ? 0 : values.reduce((sum, value) => sum + value, 0) / values.length;
}
