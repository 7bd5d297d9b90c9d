import { LinkedList } from '../structures/linked-list.js';
import { hasMoved, type Transfer, transferOf } from './transfer.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** Parts into which one heartbeat interval is divided. */
export const RING_PARTS = 64;

/**
 * Spreads the pings over the heartbeat interval. Every connection is in a random part of the ring, so that a thousand
 * connections that arrive at once are not pinged at once. While its pong is awaited, it is in a list ordered by the
 * time of the ping, so that the overdue ones are at the front.
 */
export class PingRing {
  /** Connections with an unanswered ping, the longest wait first. */
  readonly awaiting = new LinkedList<WebSocketManager>();
  readonly #parts = Array.from({ length: RING_PARTS }, () => new LinkedList<WebSocketManager>());

  // The byte counters of each connection in `awaiting`, at the time of its ping.
  readonly #transfers = new Map<WebSocketManager, Transfer>();

  /** Adds a connection to a random part of the ring. */
  add(manager: WebSocketManager): void {
    manager.ringPart = Math.floor(Math.random() * RING_PARTS);
    this.#parts[manager.ringPart]!.append(manager.ringLink);
  }

  remove(manager: WebSocketManager): void {
    manager.ringLink.remove();
    this.#transfers.delete(manager);
  }

  /** Whether bytes have moved on a connection since it was pinged. */
  hasMoved(manager: WebSocketManager): boolean {
    const before = this.#transfers.get(manager);
    return before !== undefined && !!manager.socket && hasMoved(before, transferOf(manager.socket));
  }

  part(index: number): LinkedList<WebSocketManager> {
    return this.#parts[index % RING_PARTS]!;
  }

  pinged(manager: WebSocketManager): void {
    if (!manager.ringLink.list) return;
    this.awaiting.append(manager.ringLink);
    if (manager.socket) this.#transfers.set(manager, transferOf(manager.socket));
  }

  answered(manager: WebSocketManager): void {
    this.#transfers.delete(manager);
    if (manager.ringLink.list) this.#parts[manager.ringPart]!.append(manager.ringLink);
  }
}
