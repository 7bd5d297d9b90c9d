import { Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';

import { ClientAddresses } from '../address/client-addresses.js';
import { CleanupService } from '../cleanup/cleanup.service.js';
import { type Clock, CLOCK } from '../time/clock.js';
import { type Cluster, CLUSTER } from '../cluster/cluster.js';
import { GatewayRuntime } from '../gateway/gateway-runtime.js';
import { TrafficCounters } from '../connection/traffic-counters.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { Limits } from '../manager/limits.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { LeakDetector } from '../monitoring/leak.detector.js';
import { ThreadConsistencyTracker } from '../monitoring/thread-consistency.tracker.js';
import { TopicRequests } from '../topics/topic-requests.js';
import { Topics } from '../topics/topics.service.js';
import { FleetReading } from './fleet-reading.js';

/** The services that metrics are read from. */
@Injectable()
export class MetricSources {
  #fleet: FleetReading | undefined;

  constructor(
    readonly registry: ManagerRegistry,
    readonly limits: Limits,
    readonly factory: WebSocketManagerFactory,
    readonly handshake: HandshakeService,
    readonly cleanup: CleanupService,
    readonly runtime: GatewayRuntime,
    readonly traffic: TrafficCounters,
    readonly leaks: LeakDetector,
    readonly tracker: ThreadConsistencyTracker,
    readonly topics: Topics,
    readonly subscriptions: TopicRequests,
    readonly addresses: ClientAddresses,
    private readonly httpAdapterHost: HttpAdapterHost,
    @Inject(CLOCK) private readonly clock: Clock,
    /** `undefined` without a cluster. */
    @Inject(CLUSTER) readonly cluster: Cluster | undefined,
  ) {}

  /** The numbers that need a pass over all connections. The pass is made once for all metrics of a scrape. */
  get fleet(): FleetReading {
    if (!this.#fleet) {
      this.#fleet = new FleetReading(this.registry, this.limits, this.runtime.paths);
      // A scrape reads all of its metrics in one turn.
      queueMicrotask(() => (this.#fleet = undefined));
    }
    return this.#fleet;
  }

  /** Milliseconds since 1970. */
  epoch(): number {
    return this.clock.epoch();
  }

  /** Name of the HTTP platform: `express`, `fastify`, or `none`. */
  get httpPlatform(): string {
    return this.httpAdapterHost.httpAdapter?.getType() ?? 'none';
  }
}
