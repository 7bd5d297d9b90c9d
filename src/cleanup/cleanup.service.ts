import { Inject, Injectable } from '@nestjs/common';

import { type Clock, CLOCK } from '../clock/clock.js';
import { TIMED_OUT, withDeadline } from '../clock/deadline.js';
import { afterSilence } from '../clock/silence.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import type { CleanupReport, RemovalCause } from '../journal/isolation-events.js';
import { Journal } from '../journal/journal.js';
import { Limits } from '../manager/limits.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { SOCKET_CLOSED } from '../manager/managed-socket.js';
import type { SlotReclaimer } from '../manager/slot-reclaimer.js';
import type { UserSlots } from '../manager/user-slots.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { CrowdedUsers } from './crowded-users.js';
import { Removal } from './removal.js';

/** What one cleanup is taking down. */
type Victims = Map<WebSocketManager, Promise<void>>;

/** Whoever was heard from within this share of `cleanup.probeTimeoutMs` needs no ping to be believed alive. */
const HEARD_LATELY = 1 / 8;
/** Users are looked at again within this share of `cleanup.staleAfterMs` after they are due. */
const WATCH_GRANULARITY = 1 / 64;

/**
 * Removes managers that nobody needs any more: when a user gets crowded, when a limit is reached, and
 * from time to time. In this order: closed, never attached, zombie, stale, and where the policy says
 * so the least recently active. Never a pinned one, never one of another user.
 */
@Injectable()
export class CleanupService implements SlotReclaimer {
  readonly #crowded: CrowdedUsers;
  readonly #rescues = new Map<UserSlots, Promise<void>>();
  /** Users above a lowered limit, as long as their work keeps them there. */
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
    this.#crowded = new CrowdedUsers(Math.max(1, options.cleanup.staleAfterMs * WATCH_GRANULARITY));
  }

  /** Users from 60 % on: what is dead or stale. All users: what idles for too long or was never attached. */
  runProactive(): Promise<CleanupReport> {
    return this.#once('proactive', () => {
      const victims: Victims = new Map();
      this.#removeUnattached(victims);
      this.#removeIdle(victims, this.options.cleanup.idleTimeoutMs, 'idle');
      this.#removeStaleOfCrowded(victims);
      return victims;
    });
  }

  /** Users from 80 % on and a process from 90 % on: also what has left a ping unanswered. */
  runEmergency(): Promise<CleanupReport> {
    return this.#once('emergency', () => {
      const victims: Victims = new Map();
      this.#removeUnattached(victims);
      this.#removeSuspects(victims);
      this.#removeStaleOfCrowded(victims);
      for (const slots of this.#overfull) this.#trimUser(slots, victims);
      this.#trimProcess(victims);
      if (this.#isProcessCritical) {
        this.#removeIdle(victims, this.options.cleanup.staleAfterMs, 'stale');
      }
      return victims;
    });
  }

  /** For how many milliseconds the most overdue manager has been waiting to be removed; 0 when none is. */
  get lagMs(): number {
    const { idleTimeoutMs, unattachedAfterMs } = this.options.cleanup;
    const now = this.clock.now();
    const overdue = (manager: WebSocketManager | undefined, limitMs: number): number =>
      manager && limitMs > 0 ? now - manager.lastActivityAt - limitMs : 0;
    const idle = overdue(this.registry.idle.first, idleTimeoutMs);
    return Math.max(0, idle, overdue(this.registry.unattached.first, unattachedAfterMs));
  }

  async expire(): Promise<number> {
    const { removed } = await this.#once('expired', () => {
      const victims: Victims = new Map();
      this.#removeUnattached(victims);
      const { staleAfterMs, idleTimeoutMs } = this.options.cleanup;
      const limitMs = idleTimeoutMs === 0 ? staleAfterMs : Math.min(staleAfterMs, idleTimeoutMs);
      this.#removeIdle(victims, limitMs, 'stale');
      return victims;
    });
    return removed;
  }

  relieve(slots: UserSlots): Promise<void> | undefined {
    const victims: Victims = new Map();
    this.#removeDeadAndStale(slots, victims);
    if (victims.size === 0) return undefined;
    const finished = this.#finish('proactive', victims, this.options.cleanup.emergencyTimeoutMs);
    // The arrival has a slot of its own; it waits for those who leave only as long as a goodbye takes.
    const { closeTimeoutMs } = this.options.cleanup;
    return withDeadline(this.clock, closeTimeoutMs, finished).then(() => undefined);
  }

  rescue(slots: UserSlots): Promise<void> | undefined {
    const running = this.#rescues.get(slots);
    if (running) return running;
    this.#takeOverClosed(slots);
    const victims: Victims = new Map();
    for (const manager of slots) {
      if (!manager.isActive) victims.set(manager, manager.close());
    }
    this.#removeUnattachedOf(slots, victims);
    const suspects = this.#suspectsOf(slots);
    const evictable = this.limits.overflow === 'evict-idle' && this.#evictable(slots);
    const hasStale = [...slots.idle].some((manager) => this.#isStale(manager));
    if (victims.size === 0 && suspects.length === 0 && !hasStale && !evictable) return undefined;
    const rescue = this.#rescue(slots, suspects, victims);
    this.#rescues.set(slots, rescue);
    return rescue;
  }

  watch(slots: UserSlots): void {
    if (slots.held < this.limits.crowdedFrom || slots.watchedIn) return;
    const oldest = slots.idle.first?.lastActivityAt ?? this.clock.now();
    this.#crowded.watch(slots, oldest + this.options.cleanup.staleAfterMs);
  }

  trim(): void {
    const victims: Victims = new Map();
    for (const slots of this.registry.users()) {
      this.#trimUser(slots, victims);
      this.watch(slots);
    }
    this.#trimProcess(victims);
    if (victims.size > 0) {
      void this.#finish('proactive', victims, this.options.cleanup.emergencyTimeoutMs);
    }
  }

  #trimUser(slots: UserSlots, victims: Victims): void {
    const excess = (): number =>
      [...slots].filter(({ isActive }) => isActive).length - this.limits.maxManagersPerUser;
    if (excess() > 0) this.#removeDeadAndStale(slots, victims);
    this.#removeLeastActive(slots.idle, excess(), victims);
    if (excess() > 0) this.#overfull.add(slots);
    else this.#overfull.delete(slots);
  }

  #trimProcess(victims: Victims): void {
    const excess = (): number =>
      this.registry.size - this.registry.closing.size - this.limits.maxManagers;
    this.#removeLeastActive(this.registry.unattached, excess(), victims);
    this.#removeLeastActive(this.registry.idle, excess(), victims);
  }

  async #rescue(slots: UserSlots, suspects: WebSocketManager[], victims: Victims): Promise<void> {
    // Arrivals line up behind this first pause; from then on every slot that comes free is theirs.
    await Promise.resolve();
    const startedAt = this.clock.now();
    await Promise.all(suspects.map((manager) => this.#probe(manager, victims)));
    this.#removeStaleOf(slots, victims);
    const deadlineAt = startedAt + this.options.cleanup.emergencyTimeoutMs;
    let leaving = victims;
    this.#evict(slots, leaving);
    do {
      void this.#finish('emergency', leaving, this.#until(deadlineAt), startedAt);
      await this.#goneBy(deadlineAt, slots, leaving);
      leaving = new Map();
      // Whoever lined up while these left may replace somebody too.
    } while (this.clock.now() < deadlineAt && this.#evict(slots, leaving));
    // Not later: who arrives from here on starts a rescue of its own.
    this.#rescues.delete(slots);
  }

  async #goneBy(deadlineAt: number, slots: UserSlots, victims: Victims): Promise<void> {
    const gone = Promise.all([...victims.keys()].map((manager) => manager.socketGone));
    await withDeadline(this.clock, this.#until(deadlineAt), gone);
    // One more turn: those whose socket has just gone hand over their slots first.
    await Promise.resolve();
    this.#takeOverClosed(slots);
  }

  #until(deadlineAt: number): number {
    return Math.max(1, deadlineAt - this.clock.now());
  }

  // One for each arrival that waits and has nobody leaving for it yet. Whether there was any.
  #evict(slots: UserSlots, victims: Victims): boolean {
    if (this.limits.overflow !== 'evict-idle') return false;
    const leaving = [...slots.idle].filter((manager) => !manager.isActive).length;
    const before = victims.size;
    this.#removeLeastActive(slots.idle, slots.waiters.length - leaving, victims, 'evicted');
    return victims.size > before;
  }

  // A disposal that still runs needs no slot: without this, disposers that hang would lock their user out.
  #takeOverClosed(slots: UserSlots): void {
    for (const manager of slots) {
      const isGone =
        !manager.isActive && (!manager.socket || manager.socket.readyState === SOCKET_CLOSED);
      if (isGone) manager.giveUpSlot();
    }
  }

  #probe(manager: WebSocketManager, victims: Victims): Promise<void> {
    return new Promise((resolve) => {
      const release = afterSilence(this.clock, this.options.cleanup.probeTimeoutMs, () => {
        manager.probeAnswered = undefined;
        // Pinned in the meantime, or paused by ourselves: not to be touched.
        const isVictim = manager.isActive && !manager.isPinned && !manager.isReadingPaused;
        if (isVictim) this.#remove(manager, 'zombie', victims);
        resolve();
      });
      manager.probeAnswered = () => {
        manager.probeAnswered = undefined;
        release();
        resolve();
      };
      manager.ping();
    });
  }

  // Attached, not pinned, and not heard from lately or ever: the ones a ping is worth. A peer whose
  // reading we have paused ourselves could not answer.
  #suspectsOf(slots: UserSlots): WebSocketManager[] {
    const heardSince = this.clock.now() - this.options.cleanup.probeTimeoutMs * HEARD_LATELY;
    return [...slots.idle].filter(
      (manager) =>
        manager.isActive &&
        manager.socket &&
        !manager.isReadingPaused &&
        (manager.lastSeenAt < heardSince || manager.lastSeenAt === manager.createdAt),
    );
  }

  #evictable(slots: UserSlots): boolean {
    return [...slots.idle].some((manager) => manager.isActive && manager.socket);
  }

  #removeDeadAndStale(slots: UserSlots, victims: Victims): void {
    for (const manager of slots.idle) {
      if (manager.socket?.readyState === SOCKET_CLOSED) this.#remove(manager, 'closed', victims);
    }
    this.#removeUnattachedOf(slots, victims);
    this.#removeStaleOf(slots, victims);
  }

  #removeUnattachedOf(slots: UserSlots, victims: Victims): void {
    const madeBefore = this.clock.now() - this.options.cleanup.unattachedAfterMs;
    for (const manager of slots.idle) {
      if (manager.lastActivityAt > madeBefore) break;
      if (!manager.counters.attached) this.#remove(manager, 'unattached', victims);
    }
  }

  #removeStaleOf(slots: UserSlots, victims: Victims): void {
    for (const manager of slots.idle) {
      // The list is in the order of activity; among the old ones some may be leaving already.
      if (manager.lastActivityAt > this.#staleSince) break;
      if (this.#isStale(manager)) this.#remove(manager, 'stale', victims);
    }
  }

  #removeUnattached(victims: Victims): void {
    const madeBefore = this.clock.now() - this.options.cleanup.unattachedAfterMs;
    for (const manager of this.registry.unattached) {
      if (manager.lastActivityAt > madeBefore) return;
      this.#remove(manager, 'unattached', victims);
    }
  }

  #removeIdle(victims: Victims, limitMs: number, cause: RemovalCause): void {
    if (limitMs === 0) return;
    const idleSince = this.clock.now() - limitMs;
    for (const manager of this.registry.idle) {
      if (manager.lastActivityAt > idleSince) return;
      this.#remove(manager, cause, victims);
    }
  }

  #removeStaleOfCrowded(victims: Victims): void {
    for (const slots of this.#crowded.takeDue(this.clock.now())) {
      if (slots.held >= this.limits.crowdedFrom) this.#removeStaleOf(slots, victims);
      this.watch(slots);
    }
  }

  // The heartbeat has pinged them, and in an emergency its patience is shorter.
  #removeSuspects(victims: Victims): void {
    const overdueSince = this.clock.now() - this.options.cleanup.probeTimeoutMs;
    for (const manager of this.registry.pings.awaiting) {
      if (manager.pingedAt > overdueSince) return;
      const isCritical =
        this.#isProcessCritical || (manager.slots?.held ?? 0) >= this.limits.criticalFrom;
      const isSpared = manager.isPinned || manager.isReadingPaused;
      if (isCritical && !isSpared) this.#remove(manager, 'zombie', victims);
    }
  }

  #removeLeastActive(
    list: Iterable<WebSocketManager>,
    count: number,
    victims: Victims,
    cause: RemovalCause = 'limit-lowered',
  ): void {
    let left = count;
    for (const manager of list) {
      if (left <= 0) return;
      if (!manager.isActive || (cause === 'evicted' && !manager.socket)) continue;
      this.#remove(manager, cause, victims);
      left -= 1;
    }
  }

  #isStale(manager: WebSocketManager | undefined): boolean {
    if (!manager?.isActive || !manager.socket) return false;
    return manager.lastActivityAt <= this.#staleSince;
  }

  get #staleSince(): number {
    return this.clock.now() - this.options.cleanup.staleAfterMs;
  }

  get #isProcessCritical(): boolean {
    return this.registry.size >= this.limits.processCriticalFrom;
  }

  #remove(manager: WebSocketManager, cause: RemovalCause, victims: Victims): void {
    if (!victims.has(manager) && manager.isActive) {
      victims.set(manager, this.removal.remove(manager, cause));
    }
  }

  // A job that is still running when its time comes again is not started twice.
  #once(kind: CleanupReport['kind'], collect: () => Victims): Promise<CleanupReport> {
    const running = this.#running.get(kind);
    if (running) return running;
    const run = this.#finish(kind, collect(), this.options.cleanup.emergencyTimeoutMs).finally(() =>
      this.#running.delete(kind),
    );
    this.#running.set(kind, run);
    return run;
  }

  async #finish(
    kind: CleanupReport['kind'],
    victims: Victims,
    deadlineMs: number,
    startedAt = this.clock.now(),
  ): Promise<CleanupReport> {
    const unfinished = new Set(victims.keys());
    const disposals = [...victims].map(async ([manager, disposal]) => {
      await disposal;
      unfinished.delete(manager);
    });
    const outcome =
      disposals.length === 0
        ? undefined
        : await withDeadline(this.clock, deadlineMs, Promise.all(disposals));
    const report: CleanupReport = {
      kind,
      removed: victims.size,
      abandoned: [...unfinished].map(({ context }) => context.connectionId),
      durationMs: this.clock.now() - startedAt,
      timedOut: outcome === TIMED_OUT,
    };
    this.journal.record('cleanup-finished', report);
    return report;
  }
}
