import { hasMoved, type Transfer, transferOf } from './transfer.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** Parts into which one heartbeat interval is divided. */
export const RING_PARTS = 64;

/**
 * Spreads the pings over the heartbeat interval. Every connection is in a random part of the ring, so that a thousand
 * connections that arrive at once are not pinged at once. Parts are arrays, and each connection knows part and index as
 * one number: eight bytes for a connection, and not the fifty of a link.
 */
export class PingRing {
  readonly #parts = Array.from({ length: RING_PARTS }, (): WebSocketManager[] => []);
  // With the byte counters of each connection at the time of its ping.
  readonly #awaiting = new Map<WebSocketManager, Transfer>();

  /** Number of connections with an unanswered ping. */
  get awaitingCount(): number {
    return this.#awaiting.size;
  }

  /** Connections with an unanswered ping, the longest wait first. A connection may be removed while it is visited. */
  awaiting(): IterableIterator<WebSocketManager> {
    return this.#awaiting.keys();
  }

  /** Adds a connection to a random part of the ring. */
  add(manager: WebSocketManager): void {
    if (manager.ringPlace !== -1) return;
    const part = Math.floor(Math.random() * RING_PARTS);
    const index = this.#parts[part]!.push(manager) - 1;
    manager.ringPlace = index * RING_PARTS + part;
  }

  remove(manager: WebSocketManager): void {
    this.#awaiting.delete(manager);
    if (manager.ringPlace === -1) return;
    const part = this.#parts[manager.ringPlace % RING_PARTS]!;
    const last = part.pop()!;
    if (last !== manager) {
      part[Math.floor(manager.ringPlace / RING_PARTS)] = last;
      last.ringPlace = manager.ringPlace;
    }
    manager.ringPlace = -1;
  }

  /** Whether bytes have moved on a connection since it was pinged. */
  hasMoved(manager: WebSocketManager): boolean {
    const before = this.#awaiting.get(manager);
    return before !== undefined && !!manager.socket && hasMoved(before, transferOf(manager.socket));
  }

  /** The connections of one part, as they are now. */
  part(index: number): readonly WebSocketManager[] {
    return this.#parts[index % RING_PARTS]!.slice();
  }

  pinged(manager: WebSocketManager): void {
    if (manager.ringPlace === -1 || !manager.socket) return;
    // Deleted first: a ping that is repeated is the newest.
    this.#awaiting.delete(manager);
    this.#awaiting.set(manager, transferOf(manager.socket));
  }

  answered(manager: WebSocketManager): void {
    this.#awaiting.delete(manager);
  }
}
