import type { Clock } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import type { CleanupReport, RemovalCause } from '../journal/isolation-events.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Removal } from './removal.js';

/** What one cleanup takes down: who, and the end of each of them. */
export class Victims {
  readonly #disposals = new Map<WebSocketManager, Promise<void>>();

  constructor(private readonly removal: Removal) {}

  get size(): number {
    return this.#disposals.size;
  }

  /** Takes a manager down, unless it is leaving already. */
  take(manager: WebSocketManager, cause: RemovalCause): void {
    if (manager.isActive) this.#disposals.set(manager, this.removal.remove(manager, cause));
  }

  /** Waits also for a manager that is leaving already, whoever began. */
  join(manager: WebSocketManager): void {
    this.#disposals.set(manager, manager.closed());
  }

  /** Resolves when the sockets of all of them are gone, which disposers may outlive. */
  async socketsGone(): Promise<void> {
    await Promise.all([...this.#disposals.keys()].map((manager) => manager.socketGone));
  }

  /** Waits for their ends, but not longer than `deadlineMs`; what is unfinished then is abandoned, by name. */
  async finished(
    clock: Clock,
    deadlineMs: number,
  ): Promise<Pick<CleanupReport, 'removed' | 'abandoned' | 'timedOut'>> {
    const unfinished = new Set(this.#disposals.keys());
    const disposals = [...this.#disposals].map(async ([manager, disposal]) => {
      await disposal;
      unfinished.delete(manager);
    });
    const outcome =
      disposals.length > 0 && (await withDeadline(clock, deadlineMs, Promise.all(disposals)));
    return {
      removed: this.size,
      abandoned: [...unfinished].map(({ context }) => context.connectionId),
      timedOut: outcome === TIMED_OUT,
    };
  }
}
