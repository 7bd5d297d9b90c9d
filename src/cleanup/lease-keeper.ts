import { Inject, Injectable, type OnModuleInit, Optional } from '@nestjs/common';

import { type Clock, CLOCK } from '../time/clock.js';
import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import type { IdleConnection, LeaseLoss, SlotHolder } from '../cluster/cluster-slots.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { Limits } from '../manager/limits.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { CleanupService } from './cleanup.service.js';
import { Removal } from './removal.js';

/**
 * Represents the managers of this process in the cluster: closes connections that have lost their slot, and cleans up
 * when a user is at the limit of the cluster.
 */
@Injectable()
export class LeaseKeeper implements SlotHolder, OnModuleInit {
  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: ManagerRegistry,
    private readonly limits: Limits,
    private readonly cleanup: CleanupService,
    private readonly removal: Removal,
    @Optional() @Inject(CLUSTER) private readonly cluster?: Cluster,
  ) {}

  async onModuleInit(): Promise<void> {
    this.cluster?.slots.useHolder(this);
    await this.cluster?.join();
  }

  get limit(): number {
    return this.limits.maxManagersPerUser;
  }

  get overflow(): SlotHolder['overflow'] {
    return this.limits.overflow;
  }

  get probeTimeoutMs(): number {
    return this.options.cleanup.probeTimeoutMs;
  }

  lost(connectionId: string, loss: LeaseLoss): void {
    const manager = this.registry.get(connectionId);
    if (manager?.isActive) void this.removal.remove(manager, loss);
  }

  async rescue(userId: string): Promise<readonly IdleConnection[]> {
    const slots = this.registry.slotsOf(userId);
    if (!slots) return [];
    await this.cleanup.rescue(slots);
    const now = this.clock.now();
    return [...slots.idle]
      .filter((manager) => manager.isActive && manager.socket)
      .map((manager) => ({
        connectionId: manager.context.connectionId,
        idleMs: now - manager.lastActivityAt,
      }));
  }
}
