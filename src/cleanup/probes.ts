import type { Clock } from '../time/clock.js';
import { afterSilence } from '../time/silence.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { DeadPeers } from './dead-peers.js';

/** Whoever was heard from within this share of `cleanup.probeTimeoutMs` needs no ping to be believed alive. */
const HEARD_LATELY = 1 / 8;

/** Pings connections whose slot is needed, without waiting for the heartbeat to come round. */
export class Probes {
  // A connection that is asked twice at a time, by a rescue and by a job, is asked once.
  readonly #open = new Map<WebSocketManager, Promise<boolean>>();

  constructor(
    private readonly clock: Clock,
    private readonly probeTimeoutMs: number,
    private readonly deadPeers: DeadPeers,
  ) {}

  /** Attached, not pinned, and not heard from lately or ever: the ones a ping is worth. */
  suspectsOf(idle: Iterable<WebSocketManager>): WebSocketManager[] {
    return this.silentSince(idle, this.clock.now() - this.probeTimeoutMs * HEARD_LATELY);
  }

  /** Those that a ping is worth and that were not heard from since. A peer that we do not listen to could not answer. */
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
        // Pinned in the meantime: not to be touched.
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
