import type { Clock } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { DeadPeers } from './dead-peers.js';

/** A connection that was heard from within this share of `cleanup.probeTimeoutMs` counts as alive without a ping. */
const HEARD_LATELY = 1 / 8;

/** Pings connections whose slot is needed, without waiting for their turn in the heartbeat. */
export class Probes {
  // Probes in progress. A rescue and a job that probe the same connection share one probe.
  readonly #open = new Map<WebSocketManager, Promise<boolean>>();

  constructor(
    private readonly clock: Clock,
    private readonly probeTimeoutMs: number,
    private readonly deadPeers: DeadPeers,
  ) {}

  /** The connections that are worth a probe: attached, not pinned, and not heard from lately or ever. */
  suspectsOf(idle: Iterable<WebSocketManager>): WebSocketManager[] {
    return this.silentSince(idle, this.clock.now() - this.probeTimeoutMs * HEARD_LATELY);
  }

  /**
   * The connections that are worth a probe and were not heard from since `heardSince` (monotonic milliseconds). While
   * reading is paused, a pong could not be received, so these connections are left out.
   */
  silentSince(idle: Iterable<WebSocketManager>, heardSince: number): WebSocketManager[] {
    return [...idle].filter(
      (manager) =>
        manager.isActive &&
        manager.socket &&
        !manager.isReadingPaused &&
        (manager.lastSeenAt < heardSince || manager.lastSeenAt === manager.createdAt),
    );
  }

  /** Pings, and resolves to whether there was no sign of life within `cleanup.probeTimeoutMs`. */
  isSilent(manager: WebSocketManager): Promise<boolean> {
    let probe = this.#open.get(manager);
    if (!probe) {
      probe = this.#probe(manager).finally(() => this.#open.delete(manager));
      this.#open.set(manager, probe);
    }
    return probe;
  }

  #probe(manager: WebSocketManager): Promise<boolean> {
    return new Promise((resolve) => {
      const release = afterSilence(this.clock, this.probeTimeoutMs, () => {
        manager.probeAnswered = undefined;
        // A connection that was pinned in the meantime is not removed.
        resolve(manager.isActive && !manager.isPinned && !this.deadPeers.isExcused(manager));
      });
      manager.probeAnswered = () => {
        manager.probeAnswered = undefined;
        release();
        resolve(false);
      };
      manager.ping();
    });
  }
}
