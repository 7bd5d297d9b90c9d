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

/**
 * Connections that get a close frame at once. If all clients reconnected in one instant, they would overload a node.
 */
const BATCH = 100;
/** Longest pause between two batches, in milliseconds; the actual pause is random (jitter). */
const LONGEST_PAUSE_MS = 50;
/** The share of the deadline within which all close frames are sent; the rest is for disposers. */
const TELLING_SHARE = 1 / 4;

/** Milliseconds that leaving the cluster gets at least, even if the deadline is over. */
const LEAVING_MS = 2_000;

/**
 * The graceful shutdown: refuses new connections, sends a close frame to every connection, and runs the disposers,
 * within a deadline. It runs before every shutdown hook of the application (see `LifeCycle`), so that the services that
 * disposers need still work.
 */
@Injectable()
export class Drain {
  // Always the system clock, whatever clock the application has: a test that awaits `app.close()` cannot move its own
  // clock.
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

  /** Whether the process is shutting down. */
  get isDraining(): boolean {
    return this.handshake.isDraining;
  }

  /** Drains; resolves when the drain is over. Further calls return the same promise. */
  start(): Promise<void> {
    // A handler that closes the application awaits the end of its own connection, so the connection must not wait for
    // it.
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

    // A client may reconnect to another node as soon as it gets the close frame: its slot in the cluster has to be free by then.
    if (this.cluster) {
      await withDeadline(this.#clock, deadlineMs * TELLING_SHARE, this.cluster.drain());
    }
    const goodbyes = this.#sayGoodbye(leaving, deadlineMs * TELLING_SHARE);
    await withDeadline(this.#clock, this.#left(startedAt), goodbyes);
    const abandoned = leaving.filter(({ state }) => state !== 'closed');
    for (const manager of abandoned) manager.cut();
    // Closes connections whose handshake was admitted before the drain and that were registered after it began.
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
