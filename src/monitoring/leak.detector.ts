import { constants, type PerformanceEntry, PerformanceObserver } from 'node:perf_hooks';

import {
  Inject,
  Injectable,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
} from '@nestjs/common';

import { type Clock, CLOCK } from '../time/clock.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { Journal, subjectOf } from '../journal/journal.js';
import { creationSiteOf } from '../manager/creation-site.js';
import { type Ledger, ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';

/** Every cause of a {@link LeakSuspect}. */
export const LEAK_CAUSES = ['overdue', 'abandoned', 'kept', 'reachable'] as const;

export type LeakCause = (typeof LEAK_CAUSES)[number];

/** A resource of a connection that should be gone and is not. */
export interface LeakSuspect {
  /**
   * `overdue`: closed, but not disposed within its deadline. `abandoned`: a hook, handler or disposer that did not end
   * in time and has not ended since. `kept`: disposed, but questions to its client or messages for it are still kept.
   * `reachable`: disposed, but still in memory.
   */
  readonly cause: LeakCause;
  readonly connectionId: string;
  readonly threadId: string;
  readonly isolationKey: string;
  /** Milliseconds since the manager was created; for `abandoned`, since the step was abandoned. */
  readonly ageMs: number;
  /**
   * Name of the abandoned step: `handleDisconnect`, `message handlers`, `onDispose`, `stream of tokens`, …; or what is
   * kept: `questions`, `latest messages`.
   */
  readonly label?: string;
  /** The stack that created the manager, with `leaks.captureCreationSite`. */
  readonly creationSite?: string;
}

export interface LeakReport {
  readonly ledger: Ledger;
  /** Lists up to 256 abandoned steps; {@link LeakDetector.abandoned} counts all of them. */
  readonly suspects: readonly LeakSuspect[];
}

/** A disposed manager that the garbage collector should collect. */
interface WatchedManager {
  readonly manager: WeakRef<WebSocketManager>;
  /** Milliseconds of `performance.now()`, which collections are timed by. */
  readonly since: number;
  /** Full collections it has survived, see {@link COLLECTIONS_TO_SURVIVE}. */
  survived: number;
  isReported: boolean;
}

/** Most disposed managers watched at a time. Beyond it, every sixteenth replaces the oldest. */
const MAX_SAMPLES = 256;
const SAMPLE_EVERY = 16;
/**
 * One collection may begin before a disposal has ended. A manager that survives two is still referenced. Collections
 * that are reported together count as one: they may all have run in the job that has disposed of the manager, and until
 * that job ends, the engine itself keeps what a new `WeakRef` points to.
 */
const COLLECTIONS_TO_SURVIVE = 2;

/** Detects leaks: keeps the ledger, and lists suspects. Cheap enough to be always on. */
@Injectable()
export class LeakDetector implements OnApplicationBootstrap, OnApplicationShutdown {
  readonly #samples: WatchedManager[] = [];
  #disposed = 0;
  #observer: PerformanceObserver | undefined;

  /** @internal */
  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    @Inject(CLOCK) private readonly clock: Clock,
    private readonly registry: ManagerRegistry,
    private readonly journal: Journal,
    private readonly factory: WebSocketManagerFactory,
  ) {
    registry.useRemovalListener((manager) => this.#watch(manager));
  }

  onApplicationBootstrap(): void {
    this.#observer ??= new PerformanceObserver((list) => {
      const latest = list.getEntries().findLast(isFullCollection);
      if (latest) this.#collected(latest.startTime);
    });
    this.#observer.observe({ entryTypes: ['gc'] });
  }

  onApplicationShutdown(): void {
    this.#observer?.disconnect();
    this.#observer = undefined;
  }

  /** The ledger, and the suspected leaks. A clean run has no suspects. */
  getReport(): LeakReport {
    const suspects = [
      ...this.#overdue(),
      ...this.#abandoned(),
      ...this.#kept(),
      ...this.#reachable(),
    ];
    return { ledger: this.registry.ledger, suspects };
  }

  /** Number of hooks, handlers and disposers that were abandoned and have not ended yet, unlisted ones included. */
  get abandoned(): number {
    return this.registry.abandoned.size;
  }

  #watch(manager: WebSocketManager): void {
    this.#disposed += 1;
    if (this.#samples.length >= MAX_SAMPLES) {
      if (this.#disposed % SAMPLE_EVERY !== 0) return;
      this.#samples.shift();
    }
    const since = performance.now();
    this.#samples.push({ manager: new WeakRef(manager), since, survived: 0, isReported: false });
  }

  /** @param startedAt when the latest full collection has started: it says nothing about managers disposed of later */
  #collected(startedAt: number): void {
    let kept = 0;
    for (const sample of this.#samples) {
      const manager = sample.manager.deref();
      if (!manager) continue;
      if (sample.since < startedAt) sample.survived += 1;
      if (sample.survived >= COLLECTIONS_TO_SURVIVE && !sample.isReported) {
        sample.isReported = true;
        this.#report(this.#suspect(manager, 'reachable'), manager);
      }
      this.#samples[kept] = sample;
      kept += 1;
    }
    this.#samples.length = kept;
  }

  #overdue(): LeakSuspect[] {
    const { closeTimeoutMs, disposeTimeoutMs } = this.options.cleanup;
    const closedBefore = this.clock.now() - closeTimeoutMs - disposeTimeoutMs;
    const suspects: LeakSuspect[] = [];
    for (const manager of this.registry.closing) {
      if (manager.closingAt > closedBefore) break;
      suspects.push(this.#suspect(manager, 'overdue'));
    }
    return suspects;
  }

  #abandoned(): LeakSuspect[] {
    const now = this.clock.now();
    return this.registry.abandoned.steps.map(({ abandonedAt, creationSite, ...step }) => {
      const site = creationSite === undefined ? {} : { creationSite };
      return { cause: 'abandoned', ...step, ageMs: now - abandonedAt, ...site };
    });
  }

  #kept(): LeakSuspect[] {
    const suspects: LeakSuspect[] = [];
    for (const [manager, label] of this.factory.bookkeeping.kept()) {
      if (manager.state === 'closed') suspects.push({ ...this.#suspect(manager, 'kept'), label });
    }
    return suspects;
  }

  #reachable(): LeakSuspect[] {
    return this.#samples.flatMap(({ manager, isReported }) => {
      const leaked = isReported ? manager.deref() : undefined;
      return leaked ? [this.#suspect(leaked, 'reachable')] : [];
    });
  }

  #suspect(manager: WebSocketManager, cause: LeakSuspect['cause']): LeakSuspect {
    const { connectionId, threadId, isolationKey } = manager.context;
    const creationSite = creationSiteOf(manager);
    const ageMs = this.clock.now() - manager.createdAt;
    const site = creationSite === undefined ? {} : { creationSite };
    return { cause, connectionId, threadId, isolationKey, ageMs, ...site };
  }

  #report({ cause, ageMs, creationSite }: LeakSuspect, { context }: WebSocketManager): void {
    const site = creationSite === undefined ? {} : { site: creationSite };
    this.journal.record('leak-suspected', { subject: subjectOf(context), cause, ageMs, ...site });
  }
}

function isFullCollection(entry: PerformanceEntry): boolean {
  const { kind } = ((entry as { detail?: unknown }).detail ?? {}) as { kind?: number };
  return kind === constants.NODE_PERFORMANCE_GC_MAJOR;
}
