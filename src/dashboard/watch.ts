import {
  BadRequestException,
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  ServiceUnavailableException,
} from '@nestjs/common';

import { type Clock, CLOCK, type Release } from '../time/clock.js';
import { GatewayRuntime } from '../gateway/gateway-runtime.js';
import { TrafficCounters } from '../connection/traffic-counters.js';
import { IsolationEventBus } from '../journal/event-bus.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { CleanupTimeline } from './cleanup-timeline.js';
import { CulpritCounts } from './culprits.js';
import { DASHBOARD_OPTIONS, type ResolvedDashboardOptions } from './dashboard.options.js';
import { EventFeed } from './event-feed.js';
import { History, SAMPLE_MS } from './history.js';

/** Milliseconds without a request after which a page counts as closed. Pages poll every 2.5 seconds. */
const GONE_AFTER_MS = 12_000;

/**
 * The open pages, and the samples and events that are recorded for them. While no page is open, there is no timer and
 * no subscription, unless `keepHistory` is set. Recorded samples and events stay until newer ones replace them.
 */
@Injectable()
export class Watch implements OnApplicationBootstrap, OnModuleDestroy {
  readonly history: History;
  readonly feed: EventFeed;
  readonly cleanups: CleanupTimeline;
  readonly culprits: CulpritCounts;
  readonly #viewers = new Map<string, number>();
  #stop: Release | undefined;
  #isOver = false;

  constructor(
    @Inject(DASHBOARD_OPTIONS) private readonly options: ResolvedDashboardOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    bus: IsolationEventBus,
    registry: ManagerRegistry,
    runtime: GatewayRuntime,
    traffic: TrafficCounters,
    factory: WebSocketManagerFactory,
  ) {
    this.history = new History(clock, registry, runtime, traffic, factory);
    this.feed = new EventFeed(clock, bus);
    this.cleanups = new CleanupTimeline(clock, bus);
    this.culprits = new CulpritCounts(clock, bus);
  }

  /** The number of open pages. */
  get viewers(): number {
    return this.#viewers.size;
  }

  /** Whether samples and events are recorded now. */
  get isRecording(): boolean {
    return this.#stop !== undefined;
  }

  onApplicationBootstrap(): void {
    if (this.options.keepHistory) this.#record();
  }

  onModuleDestroy(): void {
    this.#isOver = true;
    this.#stop?.();
    this.#stop = undefined;
  }

  /**
   * Counts a page as open.
   *
   * @param viewer the id that the page has given itself
   * @throws {BadRequestException} for an invalid id
   * @throws {ServiceUnavailableException} when too many pages are open
   */
  admit(viewer: unknown): void {
    if (typeof viewer !== 'string' || !/^[\w-]{8,64}$/.test(viewer)) {
      throw new BadRequestException('Expected `viewer` to be an id of 8 to 64 characters.');
    }
    if (!this.#viewers.has(viewer)) this.#dropGone();
    if (!this.#viewers.has(viewer) && this.#viewers.size >= this.options.maxViewers) {
      throw new ServiceUnavailableException('Too many dashboards are open. Close one of them.');
    }
    this.#viewers.set(viewer, this.clock.now());
    this.#record();
  }

  #record(): void {
    if (this.#stop || this.#isOver) return;
    const releases = [
      this.feed.listen(),
      this.cleanups.listen(),
      this.culprits.listen(),
      this.clock.every(SAMPLE_MS, () => this.#tick()),
    ];
    this.#stop = () => releases.forEach((release) => release());
    this.history.take();
  }

  #tick(): void {
    this.#dropGone();
    if (this.#viewers.size > 0 || this.options.keepHistory) {
      this.history.take();
      return;
    }
    this.#stop?.();
    this.#stop = undefined;
  }

  #dropGone(): void {
    const now = this.clock.now();
    for (const [viewer, seenAt] of this.#viewers) {
      if (now - seenAt > GONE_AFTER_MS) this.#viewers.delete(viewer);
    }
  }
}
