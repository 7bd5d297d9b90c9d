import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';

import { type Clock, CLOCK, type Release } from '../time/clock.js';
import { SilenceCheck } from '../time/silence.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { RING_PARTS } from '../manager/ping-ring.js';
import { Removal } from './removal.js';
import { DeadPeers } from './dead-peers.js';

/**
 * Pings every connection once per interval, and closes connections that do not respond. One timer serves all
 * connections: each tick pings one part of the ring and looks at the overdue pongs.
 */
@Injectable()
export class Heartbeat implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #deadPeers: DeadPeers;
  #stop: Release | undefined;
  #part = 0;

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: ManagerRegistry,
    private readonly removal: Removal,
  ) {
    this.#deadPeers = new DeadPeers(options.heartbeat, clock, registry.pings);
  }

  onApplicationBootstrap(): void {
    this.start();
  }

  onApplicationShutdown(): void {
    this.stop();
  }

  /** Starts the timer. */
  start(): Release {
    this.#stop ??= this.#startTimer();
    return () => this.stop();
  }

  stop(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  #startTimer(): Release {
    const { intervalMs, timeoutMs } = this.options.heartbeat;
    const tickMs = Math.max(1, intervalMs / RING_PARTS);
    const check = new SilenceCheck(this.clock, tickMs, timeoutMs, () => this.tick());
    const stopTimer = this.clock.every(tickMs, () => check.tick());
    return () => {
      stopTimer();
      check.stop();
    };
  }

  /** One step: closes connections whose pong is overdue, then pings the next part of the ring. */
  tick(): void {
    this.#removeUnanswered();
    const part = this.registry.pings.part(this.#part);
    this.#part = (this.#part + 1) % RING_PARTS;
    for (const manager of part) {
      manager.hooks?.checkIdentity?.();
      manager.ping();
    }
  }

  #removeUnanswered(): void {
    const overdueSince = this.clock.now() - this.options.heartbeat.timeoutMs;
    for (const manager of this.registry.pings.awaiting()) {
      if (manager.pingedAt > overdueSince) return;
      if (!this.#deadPeers.isExcused(manager)) void this.removal.remove(manager, 'zombie');
    }
  }
}
