import { Inject, Injectable } from '@nestjs/common';

import { type Clock, CLOCK } from '../time/clock.js';
import { type Cluster, CLUSTER } from '../cluster/cluster.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { GatewayRuntime } from '../gateway/gateway-runtime.js';
import { TrafficCounters } from '../connection/traffic-counters.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { Limits } from '../manager/limits.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { LeakDetector } from '../monitoring/leak.detector.js';
import { ThreadConsistencyTracker } from '../monitoring/thread-consistency.tracker.js';
import { Drain } from '../shutdown/drain.js';
import { TopicRequests } from '../topics/topic-requests.js';
import { Topics } from '../topics/topics.service.js';
import { Incidents } from './incidents.js';
import { thisNode } from './this-node.js';
import { rankUsers, withCluster } from './user-ranking.js';

/** Milliseconds for which one result serves all viewers. */
const FRESH_MS = 1_000;
const MAX_SUSPECTS = 50;
const MAX_VIOLATIONS = 20;

/** The state of the whole process for the page, computed once for all viewers. */
@Injectable()
export class Overview {
  #cached: { readonly at: number; readonly answer: Promise<object> } | undefined;

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: ManagerRegistry,
    private readonly limits: Limits,
    private readonly factory: WebSocketManagerFactory,
    private readonly runtime: GatewayRuntime,
    private readonly traffic: TrafficCounters,
    private readonly leaks: LeakDetector,
    private readonly tracker: ThreadConsistencyTracker,
    private readonly drain: Drain,
    private readonly topics: Topics,
    private readonly subscriptions: TopicRequests,
    private readonly incidents: Incidents,
    private readonly handshakes: HandshakeService,
    @Inject(CLUSTER) private readonly cluster: Cluster | undefined,
  ) {}

  read(): Promise<object> {
    const at = this.clock.now();
    if (!this.#cached || at - this.#cached.at >= FRESH_MS) {
      this.#cached = { at, answer: this.#look() };
    }
    return this.#cached.answer;
  }

  async #look(): Promise<object> {
    const { registry, limits, traffic, factory, handshakes } = this;
    const { ledger, suspects } = this.leaks.getReport();
    const { violations, ...consistency } = this.tracker.getReport();
    const ranked = rankUsers(registry, limits);
    const ranking = await withCluster(ranked, limits, this.cluster?.slots);
    return {
      now: this.clock.epoch(),
      incidents: this.incidents.read(ranking.full),
      node: thisNode(),
      isDraining: this.drain.isDraining,
      ledger,
      users: { count: registry.userCount, ...ranking },
      work: this.#work(),
      states: {
        unattached: registry.unattached.size,
        open: registry.idle.size,
        pinned: registry.pinned.size,
        closing: registry.closing.size,
      },
      limits: {
        perUser: limits.maxManagersPerUser,
        crowdedFrom: limits.crowdedFrom,
        total: limits.maxManagers,
        overflow: limits.overflow,
        staleAfterMs: this.options.cleanup.staleAfterMs,
      },
      oldestMs: registry.oldest ? this.clock.now() - registry.oldest.createdAt : null,
      averageLifetimeMs: ledger.disposed === 0 ? null : registry.averageLifetimeMs,
      refusals: Object.fromEntries(this.runtime.refusals),
      refusedCodes: Object.fromEntries(this.runtime.refused.byCode),
      refusedAddresses: Object.fromEntries(this.runtime.refused.byAddressClass),
      violations: factory.counters.securityViolations,
      admission: {
        pending: handshakes.pending,
        mostPending: this.options.handshake.maxPending,
        addresses: handshakes.addresses,
        options: this.options.handshake.admission ?? null,
      },
      traffic: {
        received: traffic.received,
        receivedBytes: traffic.receivedBytes,
        inFlight: traffic.inFlight,
        unhandled: traffic.unhandled,
      },
      topics: {
        count: this.topics.size,
        memberships: this.topics.memberships,
        pending: this.subscriptions.pending,
        refusals: this.subscriptions.refusals,
        historyBytes: this.topics.histories?.history.bytes ?? null,
      },
      leaks: { count: suspects.length, suspects: suspects.slice(0, MAX_SUSPECTS) },
      consistency: { ...consistency, violations: violations.slice(-MAX_VIOLATIONS) },
      cluster: this.cluster?.status() ?? null,
    };
  }

  // What is open at this moment. A running stream pins its connection.
  #work(): object {
    const { registry, factory, traffic } = this;
    let streams = 0;
    for (const manager of registry.pinned) streams += manager.openStreams.length;
    const { asks, waiting } = factory.bookkeeping;
    return { handlers: traffic.inFlight, asks: asks.size, streams, waitingBytes: waiting.bytes };
  }
}
