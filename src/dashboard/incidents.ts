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
import type { Culprits, FailingHandlers } from './culprits.js';
import {
  BUSY,
  findingsOf,
  isFailing,
  isRefusing,
  MANY_REFUSALS,
  meanOf,
  percent,
  reasonsIn,
} from './load-findings.js';
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
  /** The name of the node, where it is another one. */
  readonly node?: string;
  /** How many, in the unit of its kind: connections, users, per minute, or percent. */
  readonly count?: number;
  /** How many there were on average in the five minutes before, as far as they were recorded. */
  readonly before?: number;
  /** Why connections are refused: a minute, the most frequent reason first. */
  readonly reasons?: readonly { readonly reason: string; readonly count: number }[];
  /** Who is refused, in the last minute or two. */
  readonly culprits?: Culprits;
  /** Which handlers fail, in the last minute or two. */
  readonly failing?: FailingHandlers;
  /** Which node, or which error. */
  readonly what?: string;
}

type Finding = Omit<Incident, 'since'> & { readonly since?: number };

const NEARLY_FULL = 0.9;
/** Milliseconds for which a violation, or a node that has vanished, is reported. */
const REPORTED_MS = 15 * 60_000;
/** Milliseconds whose mean decides, so that one slow sample is no incident. Older samples say nothing about now. */
const DECIDING_MS = 30_000;
/** Milliseconds before them, with which they are compared. */
const BEFORE_MS = 5 * 60_000;

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
      ...this.#otherNodes(),
      ...this.#capacity(fullUsers),
    ];
    const now = this.clock.epoch();
    const known = new Set<string>();
    const incidents: Incident[] = [];
    for (const finding of findings) {
      const key = `${finding.kind} ${finding.node ?? ''} ${finding.what ?? ''}`;
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

  *#otherNodes(): Iterable<Finding> {
    const status = this.cluster?.status();
    if (status?.state !== 'up') return;
    for (const node of status.nodes) if (node.nodeId !== status.nodeId) yield* findingsOf(node);
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
    if (isRefusing(refused * 60, mean('opened') * 60)) {
      const { refused: culprits } = this.watch.culprits;
      const reasons = reasonsIn(latest);
      yield { kind: 'refusing', ...this.#rates('refused', refused), reasons, culprits };
    }
    const failed = mean('failed');
    if (isFailing(failed * 60, mean('messages') * 60)) {
      const { failing } = this.watch.culprits;
      yield { kind: 'failing', ...this.#rates('failed', failed), failing };
    }
    const busy = mean('busy');
    if (busy >= BUSY) yield { kind: 'event-loop-busy', count: percent(busy) };
  }

  // Per minute, now and in the five minutes before, and since when it is as much.
  #rates(
    name: 'refused' | 'failed',
    perSecond: number,
  ): Pick<Finding, 'count' | 'before' | 'since'> {
    const now = this.clock.epoch();
    const { history } = this.watch;
    const earlier = history
      .since(now - DECIDING_MS - BEFORE_MS)
      .filter(({ at, [name]: value }) => at <= now - DECIDING_MS && value !== null);
    const calm = history
      .since(0)
      .findLast(({ [name]: value }) => value !== null && value * 60 < MANY_REFUSALS);
    return {
      count: Math.round(perSecond * 60),
      ...(earlier.length > 0 && { before: Math.round(meanOf(earlier, name) * 60) }),
      ...(calm && now - calm.at > DECIDING_MS && { since: calm.at }),
    };
  }

  *#capacity(fullUsers: number): Iterable<Finding> {
    const { registry, limits, drain } = this;
    if (fullUsers > 0) yield { kind: 'users-full', count: fullUsers };
    const share = registry.size / limits.maxManagers;
    if (share >= NEARLY_FULL) yield { kind: 'nearly-full', count: percent(share) };
    if (drain.isDraining) yield { kind: 'draining', count: registry.size };
  }
}
