import { Inject, Injectable } from '@nestjs/common';

import { type Clock, CLOCK } from '../time/clock.js';
import { withDeadline } from '../time/deadline.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import type { CleanupReport } from '../journal/isolation-events.js';
import { Journal } from '../journal/journal.js';
import { Limits } from '../manager/limits.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import type { SlotReclaimer } from '../manager/slot-reclaimer.js';
import type { UserSlots } from '../manager/user-slots.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { CrowdedUsers } from './crowded-users.js';
import { Probes } from './probes.js';
import { Removal } from './removal.js';
import { Rescue, type RescueServices } from './rescue.js';
import { DeadPeers } from './dead-peers.js';
import { VictimRules } from './victim-rules.js';
import { Victims } from './victims.js';

/** Crowded users are checked within this share of `cleanup.staleAfterMs` after they are due. */
const WATCH_GRANULARITY = 1 / 64;

/**
 * Removes managers that are no longer needed: when a user gets crowded, when a limit is reached, and periodically. The
 * order is: closed, never attached, zombie, stale, and, if `limits.overflow` allows eviction, the least recently
 * active. It never removes a pinned manager, nor one of another user.
 */
@Injectable()
export class CleanupService implements SlotReclaimer {
  readonly #rules: VictimRules;
  readonly #crowded: CrowdedUsers;
  readonly #deadPeers: DeadPeers;
  readonly #probes: Probes;
  readonly #rescueHost: RescueServices;
  readonly #rescues = new Map<UserSlots, Promise<void>>();
  /** Users above a lowered limit, as long as pinned managers keep them there. */
  readonly #overfull = new Set<UserSlots>();
  readonly #running = new Map<CleanupReport['kind'], Promise<CleanupReport>>();

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: ManagerRegistry,
    private readonly limits: Limits,
    private readonly journal: Journal,
    private readonly removal: Removal,
  ) {
    const { cleanup } = options;
    this.#rules = new VictimRules(cleanup, clock);
    this.#crowded = new CrowdedUsers(Math.max(1, cleanup.staleAfterMs * WATCH_GRANULARITY));
    this.#deadPeers = new DeadPeers(options.heartbeat, clock, registry.pings);
    this.#probes = new Probes(clock, cleanup.probeTimeoutMs, this.#deadPeers);
    this.#rescueHost = {
      probes: this.#probes,
      clock,
      options: cleanup,
      limits,
      rules: this.#rules,
      newVictims: () => new Victims(removal),
      finish: (...end) => this.#finish('emergency', ...end),
    };
  }

  /** Users from 60 % of their limit on: removes stale managers. All users: removes idle and never attached ones. */
  runProactive(): Promise<CleanupReport> {
    return this.#once('proactive', (victims) => {
      const { idleTimeoutMs } = this.options.cleanup;
      this.#rules.takeUnattached(this.registry.unattached, victims);
      if (idleTimeoutMs > 0) {
        this.#rules.takeSilent(this.registry.idle, idleTimeoutMs, 'idle', victims);
      }
      this.#takeStaleOfCrowded(victims);
    });
  }

  /**
   * Users from 80 % of their limit on, a process from 90 % on: also removes managers that leave a ping unanswered.
   * Silent ones are pinged here, regardless of the heartbeat, and have `cleanup.probeTimeoutMs` to respond.
   */
  runEmergency(): Promise<CleanupReport> {
    const probe = (victims: Victims): Promise<void> | undefined => this.#takeSilent(victims);
    return this.#once(
      'emergency',
      (victims) => {
        this.#rules.takeUnattached(this.registry.unattached, victims);
        this.#takeSuspects(victims);
        this.#takeStaleOfCrowded(victims);
        for (const slots of this.#overfull) this.#trimUser(slots, victims);
        this.#trimProcess(victims);
        if (this.#isProcessCritical) this.#rules.takeStale(this.registry.idle, victims);
      },
      probe,
    );
  }

  /** Milliseconds since the most overdue manager should have been removed; 0 when none is overdue. */
  get lagMs(): number {
    const { idleTimeoutMs, unattachedAfterMs } = this.options.cleanup;
    const now = this.clock.now();
    const overdue = (manager: WebSocketManager | undefined, limitMs: number): number =>
      manager && limitMs > 0 ? now - manager.lastActivityAt - limitMs : 0;
    const idle = overdue(this.registry.idle.first, idleTimeoutMs);
    return Math.max(0, idle, overdue(this.registry.unattached.first, unattachedAfterMs));
  }

  async expire(): Promise<number> {
    const { removed } = await this.#once('expired', (victims) => {
      const { staleAfterMs, idleTimeoutMs } = this.options.cleanup;
      const limitMs = idleTimeoutMs === 0 ? staleAfterMs : Math.min(staleAfterMs, idleTimeoutMs);
      this.#rules.takeUnattached(this.registry.unattached, victims);
      this.#rules.takeSilent(this.registry.idle, limitMs, 'stale', victims);
    });
    return removed;
  }

  relieve(slots: UserSlots): Promise<void> | undefined {
    const victims = new Victims(this.removal);
    this.#rules.takeDeadAndStale(slots, victims);
    if (victims.size === 0) return undefined;
    const finished = this.#finish('proactive', victims);
    // The arrival has its own slot, so it waits for the victims only as long as a close handshake may take.
    const { closeTimeoutMs } = this.options.cleanup;
    return withDeadline(this.clock, closeTimeoutMs, finished).then(() => undefined);
  }

  rescue(slots: UserSlots): Promise<void> | undefined {
    const running = this.#rescues.get(slots);
    if (running) return running;
    const rescue = new Rescue(this.#rescueHost, slots);
    if (!rescue.isPromising) return undefined;
    const run = rescue.run(() => this.#rescues.delete(slots));
    this.#rescues.set(slots, run);
    return run;
  }

  watch(slots: UserSlots): void {
    if (slots.held < this.limits.crowdedFrom || slots.watchedIn) return;
    const oldest = slots.idle.first?.lastActivityAt ?? this.clock.now();
    this.#crowded.watch(slots, oldest + this.options.cleanup.staleAfterMs);
  }

  trim(): void {
    const victims = new Victims(this.removal);
    for (const slots of this.registry.users()) {
      this.#trimUser(slots, victims);
      this.watch(slots);
    }
    this.#trimProcess(victims);
    if (victims.size > 0) void this.#finish('proactive', victims);
  }

  #trimUser(slots: UserSlots, victims: Victims): void {
    const excess = (): number =>
      [...slots].filter(({ isActive }) => isActive).length - this.limits.maxManagersPerUser;
    if (excess() > 0) this.#rules.takeDeadAndStale(slots, victims);
    this.#rules.takeLeastActive(slots.idle, excess(), 'limit-lowered', victims);
    if (excess() > 0) this.#overfull.add(slots);
    else this.#overfull.delete(slots);
  }

  #trimProcess(victims: Victims): void {
    const { registry } = this;
    for (const list of [registry.unattached, registry.idle]) {
      const excess = registry.size - registry.closing.size - this.limits.maxManagers;
      this.#rules.takeLeastActive(list, excess, 'limit-lowered', victims);
    }
  }

  #takeStaleOfCrowded(victims: Victims): void {
    for (const slots of this.#crowded.takeDue(this.clock.now())) {
      if (slots.held >= this.limits.crowdedFrom) this.#rules.takeStale(slots.idle, victims);
      this.watch(slots);
    }
  }

  // Returns a promise only when there is a connection to probe.
  #takeSilent(victims: Victims): Promise<void> | undefined {
    const suspects = this.#suspects();
    if (suspects.size === 0) return undefined;
    const probed = [...suspects].map(async (manager) => {
      if (await this.#probes.isSilent(manager)) victims.take(manager, 'zombie');
    });
    return Promise.all(probed).then(() => undefined);
  }

  #suspects(): Set<WebSocketManager> {
    const suspects = new Set<WebSocketManager>();
    const add = (manager: WebSocketManager): void => void suspects.add(manager);
    for (const { held, idle } of this.#crowded.users()) {
      if (held >= this.limits.criticalFrom) this.#probes.suspectsOf(idle).forEach(add);
    }
    if (this.#isProcessCritical) {
      // Only connections that the heartbeat's last round has not heard from: probing all would be too many.
      const { heartbeat, cleanup } = this.options;
      const heardSince = this.clock.now() - heartbeat.intervalMs - cleanup.probeTimeoutMs;
      this.#probes.silentSince(this.registry.idle, heardSince).forEach(add);
    }
    return suspects;
  }

  // Connections that the heartbeat has pinged: in an emergency, the deadline for the pong is shorter.
  #takeSuspects(victims: Victims): void {
    const overdueSince = this.clock.now() - this.options.cleanup.probeTimeoutMs;
    for (const manager of this.registry.pings.awaiting()) {
      if (manager.pingedAt > overdueSince) return;
      if (!this.#isCritical(manager) || manager.isPinned) continue;
      if (!this.#deadPeers.isExcused(manager)) victims.take(manager, 'zombie');
    }
  }

  #isCritical({ slots }: WebSocketManager): boolean {
    return this.#isProcessCritical || (slots?.held ?? 0) >= this.limits.criticalFrom;
  }

  get #isProcessCritical(): boolean {
    return this.registry.size >= this.limits.processCriticalFrom;
  }

  // A job that is still running when it is due again is not started twice.
  #once(
    kind: CleanupReport['kind'],
    collect: (victims: Victims) => void,
    collectLater?: (victims: Victims) => Promise<void> | undefined,
  ): Promise<CleanupReport> {
    const running = this.#running.get(kind);
    if (running) return running;
    const victims = new Victims(this.removal);
    collect(victims);
    const startedAt = this.clock.now();
    const finish = (): Promise<CleanupReport> => this.#finish(kind, victims, undefined, startedAt);
    const later = collectLater?.(victims);
    const run = (later ? later.then(finish) : finish()).finally(() => this.#running.delete(kind));
    this.#running.set(kind, run);
    return run;
  }

  async #finish(
    kind: CleanupReport['kind'],
    victims: Victims,
    deadlineMs = this.options.cleanup.emergencyTimeoutMs,
    startedAt = this.clock.now(),
  ): Promise<CleanupReport> {
    const outcome = await victims.finished(this.clock, deadlineMs);
    const report: CleanupReport = { kind, ...outcome, durationMs: this.clock.now() - startedAt };
    this.journal.record('cleanup-finished', report);
    return report;
  }
}
