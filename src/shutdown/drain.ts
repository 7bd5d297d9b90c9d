import { Inject, Injectable, Optional } from '@nestjs/common';

import { type Clock, systemClock } from '../time/clock.js';
import { withDeadline } from '../time/deadline.js';
import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { runningCode } from '../context/running-code.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { Journal } from '../journal/journal.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { CloseCode } from '../wire/close-codes.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';

/** Connections that are told at once; clients that all come back in one instant would storm the next process. */
const BATCH = 100;
/** Longest pause between two batches, in milliseconds; the actual one is random. */
const LONGEST_PAUSE_MS = 50;
/** The share of the deadline in which everybody has been told; the rest is for disposers. */
const TELLING_SHARE = 1 / 4;

/** What the cluster gets at least to let this process go, also where the deadline is over. */
const LEAVING_MS = 2_000;

/**
 * The end of the process, gently: no new connections, a close frame for everybody, their disposers, and
 * a deadline. It runs before every shutdown hook of the application (see `LifeCycle`), so that whatever
 * disposers need is still there.
 */
@Injectable()
export class Drain {
  // The real time, whatever clock the application has: who would move a clock of tests while `app.close()` is awaited?
  readonly #clock: Clock = systemClock;
  #run: Promise<void> | undefined;

  constructor(
    @Inject(ISOLATION_OPTIONS) private readonly options: ResolvedOptions,
    private readonly handshake: HandshakeService,
    private readonly factory: WebSocketManagerFactory,
    private readonly registry: ManagerRegistry,
    private readonly journal: Journal,
    @Optional() @Inject(CLUSTER) private readonly cluster?: Cluster,
  ) {}

  /** Whether the process is going away. */
  get isDraining(): boolean {
    return this.handshake.isDraining;
  }

  /** Drains; resolves when it is over. Calling it again gives the same promise. */
  start(): Promise<void> {
    // A handler that closes the application is waited for by its connection: it awaits the end of it itself.
    const goesOn = runningCode()?.waits();
    this.#run ??= this.#drain();
    if (goesOn) void this.#run.then(goesOn, goesOn);
    return this.#run;
  }

  async #drain(): Promise<void> {
    const startedAt = this.#clock.now();
    const { deadlineMs } = this.options.shutdown;
    this.handshake.drain();
    const leaving = [...this.registry.all()];
    this.journal.record('drain-started', { connections: leaving.length });
    for (const manager of leaving) manager.markDraining();

    // Whoever is told goodbye comes back at once, on another node: the slot has to be free by then.
    if (this.cluster) {
      await withDeadline(this.#clock, deadlineMs * TELLING_SHARE, this.cluster.drain());
    }
    const goodbyes = this.#sayGoodbye(leaving, deadlineMs * TELLING_SHARE);
    await withDeadline(this.#clock, this.#left(startedAt), goodbyes);
    const abandoned = leaving.filter(({ state }) => state !== 'closed');
    for (const manager of abandoned) manager.cut();
    // Whoever slipped in through a handshake that had already been let through.
    await withDeadline(this.#clock, this.#left(startedAt), this.factory.shutdown());
    if (this.cluster) {
      const departure = this.cluster.leave();
      await withDeadline(this.#clock, Math.max(LEAVING_MS, this.#left(startedAt)), departure);
    }
    this.journal.record('drain-finished', {
      closed: leaving.length - abandoned.length,
      abandoned: abandoned.length,
      durationMs: this.#clock.now() - startedAt,
    });
  }

  #left(startedAt: number): number {
    return Math.max(1, this.options.shutdown.deadlineMs - (this.#clock.now() - startedAt));
  }

  async #sayGoodbye(leaving: readonly WebSocketManager[], withinMs: number): Promise<void> {
    const batches = Math.ceil(leaving.length / BATCH);
    const pauseMs = Math.min(LONGEST_PAUSE_MS, withinMs / Math.max(1, batches));
    const disposals: Promise<void>[] = [];
    for (let start = 0; start < leaving.length; start += BATCH) {
      if (start > 0) await this.#pause(Math.random() * pauseMs);
      for (const manager of leaving.slice(start, start + BATCH)) {
        disposals.push(
          manager.beginClose(CloseCode.GOING_AWAY, 'server shutting down', 'shutdown'),
        );
      }
    }
    await Promise.all(disposals);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#clock.after(ms, resolve);
    });
  }
}
