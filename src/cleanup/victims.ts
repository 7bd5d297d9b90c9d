import type { Clock } from '../time/clock.js';
import { TIMED_OUT, withDeadline } from '../time/deadline.js';
import type { CleanupReport, RemovalCause } from '../journal/isolation-events.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Removal } from './removal.js';

/** The managers that one cleanup removes, and the promise of each one's end. */
export class Victims {
  readonly #disposals = new Map<WebSocketManager, Promise<void>>();

  constructor(private readonly removal: Removal) {}

  get size(): number {
    return this.#disposals.size;
  }

  /** Removes a manager, unless it is closing already. */
  take(manager: WebSocketManager, cause: RemovalCause): void {
    if (manager.isActive) this.#disposals.set(manager, this.removal.remove(manager, cause));
  }

  /** Also waits for a manager that is closing already, whatever closed it. */
  join(manager: WebSocketManager): void {
    this.#disposals.set(manager, manager.closed());
  }

  /** Resolves when the sockets of all victims have closed. Disposers may take longer. */
  async socketsGone(): Promise<void> {
    await Promise.all([...this.#disposals.keys()].map((manager) => manager.socketGone));
  }

  /**
   * Waits until all victims have ended, for at most `deadlineMs`. Reports the unfinished ones by connection id as
   * abandoned.
   */
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
