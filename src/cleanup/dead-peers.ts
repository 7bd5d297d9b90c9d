import type { Clock } from '../time/clock.js';
import type { HeartbeatOptions } from '../config/option-groups.js';
import type { PingRing } from '../manager/ping-ring.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';

/** Decides whether peers with an unanswered ping are dead. */
export class DeadPeers {
  constructor(
    private readonly options: HeartbeatOptions,
    private readonly clock: Clock,
    private readonly pings: PingRing,
  ) {}

  /**
   * Whether a peer with an unanswered ping may be alive all the same; then it is pinged again later. Called only when a
   * pong is overdue, so that it costs nothing per message.
   */
  isExcused(manager: WebSocketManager): boolean {
    // While reading is paused, by this library or by the app, pongs are not received: the peer's silence proves
    // nothing.
    if (manager.isReadingPaused || manager.socket?.isPaused) {
      manager.seen();
      return true;
    }
    // A pong waits behind the frame that the peer is sending, and a ping behind the frame that the peer is reading. So
    // a peer whose bytes still move gets up to `heartbeat.transferTimeoutMs`.
    const owedForMs = this.clock.now() - manager.lastSeenAt;
    if (owedForMs >= this.options.transferTimeoutMs) return false;
    if (!this.pings.hasMoved(manager)) return false;
    manager.moved();
    return true;
  }
}
