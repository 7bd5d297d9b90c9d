import { LinkedList } from '../structures/linked-list.js';
import { hasMoved, type Transfer, transferOf } from './transfer.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** Parts into which one heartbeat interval is divided. */
export const RING_PARTS = 64;

/**
 * Whose turn it is to be pinged. Every connection sits in a random part of the ring, so that a
 * thousand that came at once are not pinged at once; while its pong is awaited it sits in a list by
 * the time of the ping, so that what is overdue is at the front.
 */
export class PingRing {
  /** Pinged and not answered yet, the longest wait first. */
  readonly awaiting = new LinkedList<WebSocketManager>();
  readonly #parts = Array.from({ length: RING_PARTS }, () => new LinkedList<WebSocketManager>());

  // Where the bytes of those were when they were pinged: a connection that owes nothing keeps nothing here.
  readonly #transfers = new Map<WebSocketManager, Transfer>();

  /** Gives a connection its part of the ring. */
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
