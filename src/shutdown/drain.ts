import { Inject, Injectable, Optional } from '@nestjs/common';

import { type Clock, systemClock } from '../time/clock.js';
import { withDeadline } from '../time/deadline.js';
import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import { ISOLATION_OPTIONS, type ResolvedOptions } from '../config/isolation.options.js';
import { runningCode } from '../context/running-code.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { Journal } from '../journal/journal.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { sayGoodbye, TELLING_SHARE } from './goodbyes.js';

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
    const { deadlineMs, spreadMs } = this.options.shutdown;
    this.handshake.drain();
    const leaving = [...this.registry.all()];
    this.journal.record('drain-started', { connections: leaving.length });
    for (const manager of leaving) manager.markDraining();

    // A client may reconnect to another node as soon as it gets the close frame: its slot in the cluster has to be free
    // by then. Where the clients are told one after another, each slot is released then: until then, other nodes find
    // the connection by its slot.
    if (this.cluster && spreadMs === 0) {
      await withDeadline(this.#clock, deadlineMs * TELLING_SHARE, this.cluster.drain());
    }
    const goodbyes = sayGoodbye(this.#clock, leaving, this.options.shutdown);
    await withDeadline(this.#clock, this.#left(startedAt), goodbyes);
    if (this.cluster && spreadMs > 0) {
      await withDeadline(this.#clock, this.#left(startedAt), this.cluster.drain());
    }
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
    const { deadlineMs, spreadMs } = this.options.shutdown;
    return Math.max(1, spreadMs + deadlineMs - (this.#clock.now() - startedAt));
  }
}
