import type { Provider } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';

import { ClientAddresses } from '../address/client-addresses.js';
import { CleanupService } from '../cleanup/cleanup.service.js';
import { CleanupJobs } from '../cleanup/cleanup.jobs.js';
import { Heartbeat } from '../cleanup/heartbeat.js';
import { LeaseKeeper } from '../cleanup/lease-keeper.js';
import { Removal } from '../cleanup/removal.js';
import { type Clock, CLOCK, systemClock } from '../time/clock.js';
import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import { websocketIsolationConfig } from '../config/isolation.config.js';
import {
  ISOLATION_OPTIONS,
  type ResolvedOptions,
  type WebSocketIsolationOptions,
} from '../config/isolation.options.js';
import { InvalidOptionsError } from '../config/option-faults.js';
import { assertKnownVariables, resolveOptions } from '../config/resolve-options.js';
import { WebSocketEmitter } from '../delivery/websocket.emitter.js';
import { GatewayRuntime } from '../gateway/gateway-runtime.js';
import { TrafficCounters } from '../connection/traffic-counters.js';
import { UserRates } from '../connection/user-rates.js';
import { Authentication } from '../handshake/authentication.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { IsolationEventBus } from '../journal/event-bus.js';
import { Journal } from '../journal/journal.js';
import { Limits } from '../manager/limits.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { SLOT_RECLAIMER } from '../manager/slot-reclaimer.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { LeakDetector } from '../monitoring/leak.detector.js';
import { ThreadConsistencyTracker } from '../monitoring/thread-consistency.tracker.js';
import { Tracing } from '../monitoring/tracing.js';
import { NestInternals } from '../nest/nest-internals.js';
import type { TopicKey } from '../history/history-key.js';
import { type MemoryBounds, MemoryHistory } from '../history/memory-history.js';
import { Resume } from '../resume/resume.service.js';
import { Drain } from '../shutdown/drain.js';
import { TopicAuthorization } from '../topics/topic-authorization.js';
import { TopicHistories } from '../topics/topic-histories.js';
import { TopicPresence } from '../topics/topic-presence.js';
import { TopicRequests } from '../topics/topic-requests.js';
import { Topics } from '../topics/topics.service.js';
import { contextProvider, managerProvider } from './context.providers.js';
import { GIVEN_OPTIONS } from './module-definition.js';
import { NestHost } from './nest-host.js';

function madeBy(cluster: Cluster): Cluster {
  const { slots, join } = (cluster ?? {}) as Partial<Cluster>;
  if (slots && typeof join === 'function') return cluster;
  const rule =
    'create() has to return a cluster at once: an object with `slots`, `delivery`, `join()`';
  throw new InvalidOptionsError([{ option: 'cluster.create()', value: cluster, rule }]);
}

function memoryBounds(
  bounds: Omit<MemoryBounds, 'maxHistories'>,
  maxHistories: number,
): MemoryBounds {
  const { windowMs, maxEvents, maxBytes, maxTotalBytes } = bounds;
  return { windowMs, maxEvents, maxBytes, maxHistories, maxTotalBytes };
}

function topicsOf(
  { topics: options }: ResolvedOptions,
  clock: Clock,
  journal: Journal,
  registry: ManagerRegistry,
  factory: WebSocketManagerFactory,
  cluster: Cluster | undefined,
): Topics {
  const bounds = options.history;
  const history =
    bounds &&
    (cluster?.createTopicHistory?.(bounds) ??
      new MemoryHistory<TopicKey>(memoryBounds(bounds, bounds.maxTopics), clock));
  const histories = history && new TopicHistories(history, clock, journal);
  const topics = new Topics(options, clock, journal, registry, histories, cluster?.topics);
  factory.bookkeeping.useTopics(topics);
  return topics;
}

/** All providers of the module, the lower layers first. */
export const coreProviders: Provider[] = [
  NestHost,
  { provide: NestInternals, inject: [NestHost], useFactory: NestHost.internalsOf },
  {
    provide: ISOLATION_OPTIONS,
    inject: [GIVEN_OPTIONS, websocketIsolationConfig.KEY],
    useFactory: (given: WebSocketIsolationOptions, environment: WebSocketIsolationOptions) => {
      assertKnownVariables(process.env);
      return resolveOptions(given, environment);
    },
  },
  {
    provide: CLOCK,
    // Injected after the options have been checked.
    inject: [GIVEN_OPTIONS, ISOLATION_OPTIONS],
    useFactory: ({ clock }: WebSocketIsolationOptions) => clock ?? systemClock,
  },
  { provide: IsolationEventBus, useFactory: () => new IsolationEventBus() },
  {
    provide: Journal,
    inject: [CLOCK, IsolationEventBus],
    useFactory: (clock: Clock, bus: IsolationEventBus) => new Journal(clock, bus),
  },
  {
    provide: CLUSTER,
    inject: [ISOLATION_OPTIONS, CLOCK, Journal],
    useFactory: ({ cluster }: ResolvedOptions, clock: Clock, journal: Journal) =>
      cluster && madeBy(cluster.create({ clock, journal })),
  },
  {
    provide: ManagerRegistry,
    inject: [CLOCK],
    useFactory: (clock: Clock) => new ManagerRegistry(clock),
  },
  {
    provide: Limits,
    inject: [ISOLATION_OPTIONS],
    useFactory: ({ limits }: ResolvedOptions) => new Limits(limits),
  },
  Removal,
  CleanupService,
  { provide: SLOT_RECLAIMER, useExisting: CleanupService },
  CleanupJobs,
  Heartbeat,
  LeaseKeeper,
  WebSocketManagerFactory,
  {
    provide: Resume,
    inject: [
      ISOLATION_OPTIONS,
      CLOCK,
      Journal,
      WebSocketManagerFactory,
      { token: CLUSTER, optional: true },
    ],
    useFactory: (
      { resume }: ResolvedOptions,
      clock: Clock,
      journal: Journal,
      factory: WebSocketManagerFactory,
      cluster: Cluster | undefined,
    ) => {
      if (!resume) return undefined;
      const history =
        cluster?.createHistory(resume) ??
        new MemoryHistory(memoryBounds(resume, resume.maxThreads), clock);
      return new Resume(history, clock, journal, factory);
    },
  },
  {
    provide: Topics,
    inject: [
      ISOLATION_OPTIONS,
      CLOCK,
      Journal,
      ManagerRegistry,
      WebSocketManagerFactory,
      { token: CLUSTER, optional: true },
    ],
    useFactory: topicsOf,
  },
  {
    provide: TopicRequests,
    inject: [ISOLATION_OPTIONS, CLOCK, Journal, Topics, ModuleRef, Authentication],
    useFactory: (
      options: ResolvedOptions,
      clock: Clock,
      journal: Journal,
      topics: Topics,
      moduleRef: ModuleRef,
      { canRenew }: Authentication,
    ) => {
      const authorization = new TopicAuthorization(options.topics, moduleRef);
      return new TopicRequests(topics, authorization, options, clock, journal, canRenew);
    },
  },
  TopicPresence,
  WebSocketEmitter,
  {
    provide: Authentication,
    inject: [ISOLATION_OPTIONS, ModuleRef],
    useFactory: (options: ResolvedOptions, moduleRef: ModuleRef) =>
      new Authentication(options, moduleRef),
  },
  {
    provide: ClientAddresses,
    inject: [ISOLATION_OPTIONS, Journal],
    useFactory: ({ handshake }: ResolvedOptions, journal: Journal) =>
      new ClientAddresses(handshake.trustProxy, handshake.logAddresses, {
        trustFailed: (error) => journal.record('trust-proxy-failed', { error }),
      }),
  },
  HandshakeService,
  TrafficCounters,
  UserRates,
  ThreadConsistencyTracker,
  {
    provide: Tracing,
    inject: [WebSocketManagerFactory],
    useFactory: ({ bookkeeping }: WebSocketManagerFactory) => {
      const tracing = new Tracing();
      bookkeeping.asks.useTracing((...asked) => tracing.tracer?.ask(...asked));
      return tracing;
    },
  },
  LeakDetector,
  GatewayRuntime,
  Drain,
  contextProvider,
  managerProvider,
];
