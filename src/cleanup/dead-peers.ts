import type { Clock } from '../time/clock.js';
import type { HeartbeatOptions } from '../config/option-groups.js';
import type { PingRing } from '../manager/ping-ring.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';

/** Judges those that owe an answer to a ping. */
export class DeadPeers {
  constructor(
    private readonly options: HeartbeatOptions,
    private readonly clock: Clock,
    private readonly pings: PingRing,
  ) {}

  /**
   * Whether a peer that has not answered a ping may be alive all the same; it is pinged again later then. Looked at only
   * when a pong is overdue, so that it costs nothing per message.
   */
  isExcused(manager: WebSocketManager): boolean {
    // A peer whose reading is paused, by ourselves or by the app, cannot be heard: its silence is ours.
    if (manager.isReadingPaused || manager.socket?.isPaused) {
      manager.seen();
      return true;
    }
    // The pong comes behind the frame that the peer is sending, and the ping waits behind the one that it is reading.
    const owedForMs = this.clock.now() - manager.lastSeenAt;
    if (owedForMs >= this.options.transferTimeoutMs) return false;
    if (!this.pings.hasMoved(manager)) return false;
    manager.moved();
    return true;
  }
}
