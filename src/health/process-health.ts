import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';

import { CleanupService } from '../cleanup/cleanup.service.js';
import { type Clock, CLOCK, type Release } from '../time/clock.js';
import { type Cluster, CLUSTER } from '../cluster/cluster.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { IsolationEventBus } from '../journal/event-bus.js';
import type { CleanupReport } from '../journal/isolation-events.js';
import { Limits } from '../manager/limits.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { LeakDetector } from '../monitoring/leak.detector.js';
import { type DelayWindow, EventLoopDelay } from '../time/event-loop-delay.js';
import type { HealthReading } from './health-rules.js';

/** How long a reading is reused, in milliseconds: several probes may arrive at once. */
const CACHE_MS = 1_000;
const DELAY: DelayWindow = { resolutionMs: 20, windowMs: 10_000, percentile: 99 };

/** Reads the health of this process. */
@Injectable()
export class ProcessHealth implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #eventLoop: EventLoopDelay;
  #releases: Release[] = [];
  #unbalancedSweeps = 0;
  #hasEmergencyTimedOut = false;
  #latest: { readonly at: number; readonly reading: HealthReading } | undefined;

  constructor(
    @Inject(CLOCK) private readonly clock: Clock,
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLUSTER) private readonly cluster: Cluster | undefined,
    private readonly bus: IsolationEventBus,
    private readonly registry: ManagerRegistry,
    private readonly limits: Limits,
    private readonly cleanup: CleanupService,
    private readonly leaks: LeakDetector,
    private readonly handshake: HandshakeService,
  ) {
    this.#eventLoop = new EventLoopDelay(clock, DELAY);
  }

  onApplicationBootstrap(): void {
    this.#releases = [
      this.#eventLoop.start(),
      this.bus.on('cleanup-finished', (report) => this.#swept(report)),
    ];
  }

  onApplicationShutdown(): void {
    this.#releases.splice(0).forEach((release) => release());
  }

  /** Returns the reading. It is at most one second old, except `isDraining`, which is always current. */
  read(): HealthReading {
    const now = this.clock.now();
    if (!this.#latest || now - this.#latest.at >= CACHE_MS) {
      this.#latest = { at: now, reading: this.#look() };
    }
    return { ...this.#latest.reading, isDraining: this.handshake.isDraining };
  }

  #look(): HealthReading {
    return {
      usage: this.registry.size / this.limits.maxManagers,
      eventLoopDelayMs: this.#eventLoop.ms,
      cleanupLagMs: this.cleanup.lagMs,
      cleanupIntervalMs: this.options.cleanup.proactiveIntervalMs,
      leakSuspects: this.leaks.getReport().suspects.length,
      unbalancedSweeps: this.#unbalancedSweeps,
      hasEmergencyTimedOut: this.#hasEmergencyTimedOut,
      isDraining: this.handshake.isDraining,
      cluster: this.cluster?.status().state,
    };
  }

  #swept({ kind, timedOut }: CleanupReport): void {
    if (kind === 'emergency') this.#hasEmergencyTimedOut = timedOut;
    const { created, active, disposed } = this.registry.ledger;
    this.#unbalancedSweeps = created === active + disposed ? 0 : this.#unbalancedSweeps + 1;
  }
}
