import type { Clock } from '../time/clock.js';
import type { Cluster } from '../cluster/cluster.js';
import type { ClusterStatus } from '../cluster/cluster-status.js';
import type { Limits } from './limits.js';
import type { ManagerRegistry } from './manager-registry.js';
import type { ManagerState } from './web-socket-manager.js';

/** The statistics of this process, at the instant they are read. */
export interface FactoryStats {
  readonly factoryMetrics: {
    readonly managersCreated: number;
    readonly managersActive: number;
    readonly managersCleanedUp: number;
    readonly usersWithActiveManagers: number;
    /** Connections refused because all slots were in use. */
    readonly resourceLimitHits: number;
    /** Sockets bound to a manager since the start. */
    readonly totalConnectionsManaged: number;
    readonly securityViolationsDetected: number;
    /** Mean over the disposed managers. */
    readonly averageManagerLifetimeSeconds: number;
  };
  readonly configuration: {
    readonly maxManagersPerUser: number;
    readonly maxManagers: number;
    /** Managers of a user from which an arrival triggers cleanup first. */
    readonly proactiveFrom: number;
    readonly overflow: string;
  };
  readonly currentState: {
    readonly activeManagers: number;
    readonly usersWithManagers: number;
    readonly byState: Readonly<Record<ManagerState, number>>;
    readonly pinned: number;
    /** Questions of `ask()` that this process has asked, and that have no answer yet. */
    readonly openAsks: number;
    /** Streams and observables that handlers have returned, and that are open. */
    readonly openStreams: number;
    /** Messages with the policy `'latest'` that wait for room. */
    readonly latestWaiting: number;
    /** Present when a cluster is configured. */
    readonly cluster?: ClusterStatus;
  };
  /** Slots held, by user id. Do not publish it: it contains user ids. */
  readonly userDistribution: Readonly<Record<string, number>>;
  readonly oldestManagerAgeSeconds: number;
}

/** Counts of events since the start, as opposed to the current state. */
export interface FactoryCounters {
  readonly limitHits: number;
  readonly securityViolations: number;
  readonly connections: number;
  /** Open at this moment. */
  readonly openAsks: number;
  /** Kept at this moment. */
  readonly latestWaiting: number;
}

export function readFactoryStats(
  registry: ManagerRegistry,
  limits: Limits,
  counters: FactoryCounters,
  clock: Clock,
  cluster?: Cluster,
): FactoryStats {
  const { created, active, disposed } = registry.ledger;
  const byState = { connecting: 0, ready: 0, draining: 0, closing: 0, closed: 0 };
  let openStreams = 0;
  for (const manager of registry.all()) {
    byState[manager.state] += 1;
    openStreams += manager.openStreams.length;
  }
  const userDistribution = Object.create(null) as Record<string, number>;
  for (const slots of registry.users()) userDistribution[slots.userId] = slots.held;
  return {
    factoryMetrics: {
      managersCreated: created,
      managersActive: active,
      managersCleanedUp: disposed,
      usersWithActiveManagers: registry.userCount,
      resourceLimitHits: counters.limitHits,
      totalConnectionsManaged: counters.connections,
      securityViolationsDetected: counters.securityViolations,
      averageManagerLifetimeSeconds: registry.averageLifetimeMs / 1000,
    },
    configuration: {
      maxManagersPerUser: limits.maxManagersPerUser,
      maxManagers: limits.maxManagers,
      proactiveFrom: limits.crowdedFrom,
      overflow: limits.overflow,
    },
    currentState: {
      activeManagers: active,
      usersWithManagers: registry.userCount,
      byState,
      pinned: registry.pinned.size,
      openAsks: counters.openAsks,
      openStreams,
      latestWaiting: counters.latestWaiting,
      ...(cluster && { cluster: cluster.status() }),
    },
    userDistribution,
    oldestManagerAgeSeconds: registry.oldest ? (clock.now() - registry.oldest.createdAt) / 1000 : 0,
  };
}
