import type { Clock } from '../time/clock.js';
import { AbandonedWork } from './abandoned-work.js';
import { LinkedList } from '../structures/linked-list.js';
import { Plug, type Unplug } from '../structures/plug.js';
import { wholeMs } from './manager-record.js';
import { PingRing } from './ping-ring.js';
import { Slots } from './slots.js';
import type { UserSlots } from './user-slots.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** `created = active + disposed`, true at every instant. */
export interface Ledger {
  /** Managers created since the start. */
  readonly created: number;
  /** Managers that are not disposed: the size of the registry. */
  readonly active: number;
  /** Managers disposed of. */
  readonly disposed: number;
}

/**
 * All managers of this process, by connection and by user, and the lists in which cleanup finds the next ones to look
 * at. Adding, touching, rearranging and removing a manager takes constant time.
 */
export class ManagerRegistry {
  /** Managers with a socket, the least recently active first: the ones that idle for too long are at the front. */
  readonly idle = new LinkedList<WebSocketManager>();
  /** Managers that have no socket yet, the oldest first. */
  readonly unattached = new LinkedList<WebSocketManager>();
  readonly pinned = new LinkedList<WebSocketManager>();
  /** Closing managers, in the order in which closing began. */
  readonly closing = new LinkedList<WebSocketManager>();

  /** Work that connections have left unfinished. */
  readonly abandoned = new AbandonedWork();

  /** The order in which connections are pinged. */
  readonly pings = new PingRing();

  readonly #byConnection = new Map<string, WebSocketManager>();
  readonly #byUser = new Map<string, UserSlots>();
  readonly #removalListener = new Plug<(manager: WebSocketManager) => void>();
  #created = 0;
  #disposed = 0;
  #lifetimeMs = 0;
  // Messages of the managers that are removed.
  #sentByGone = 0;

  constructor(private readonly clock: Clock) {}

  get size(): number {
    return this.#byConnection.size;
  }

  get userCount(): number {
    return this.#byUser.size;
  }

  get ledger(): Ledger {
    return { created: this.#created, active: this.size, disposed: this.#disposed };
  }

  /** Mean lifetime of the managers disposed of, in milliseconds. */
  get averageLifetimeMs(): number {
    return this.#disposed === 0 ? 0 : this.#lifetimeMs / this.#disposed;
  }

  /** Messages that all managers have sent since the start. Iterates over the existing managers. */
  get sent(): number {
    let sent = this.#sentByGone;
    for (const { sentMessages } of this.all()) sent += sentMessages;
    return sent;
  }

  /** The oldest manager that is not disposed. */
  get oldest(): WebSocketManager | undefined {
    return this.#byConnection.values().next().value;
  }

  get(connectionId: string): WebSocketManager | undefined {
    return this.#byConnection.get(connectionId);
  }

  all(): IterableIterator<WebSocketManager> {
    return this.#byConnection.values();
  }

  users(): IterableIterator<UserSlots> {
    return this.#byUser.values();
  }

  slotsOf(userId: string): UserSlots | undefined {
    return this.#byUser.get(userId);
  }

  /** The user's slots, created when there are none. The caller adds something to them, or calls {@link forget}. */
  openSlots(userId: string): UserSlots {
    let slots = this.#byUser.get(userId);
    if (!slots) {
      slots = new Slots<WebSocketManager>(userId);
      this.#byUser.set(userId, slots);
    }
    return slots;
  }

  /** Removes a user that holds no slot and has no waiting arrival. */
  forget(slots: UserSlots): void {
    if (!slots.isUnused) return;
    this.#byUser.delete(slots.userId);
    slots.watchedIn?.delete(slots);
  }

  /** Registers a manager, which takes a slot of its user. */
  add(manager: WebSocketManager): void {
    const slots = this.openSlots(manager.context.userId);
    this.#byConnection.set(manager.context.connectionId, manager);
    this.#created += 1;
    manager.slots = slots;
    slots.idle.append(manager.userLink);
    this.unattached.append(manager.fleetLink);
  }

  /** Moves a manager with traffic to the end of its lists. */
  touch(manager: WebSocketManager): void {
    const { userLink, fleetLink } = manager;
    if (fleetLink.list === this.idle) this.idle.append(fleetLink);
    const userList = userLink.list;
    if (userList && userList === manager.slots?.idle) userList.append(userLink);
  }

  /** Moves a manager to the right lists after its socket was attached, or its pins were set or removed. */
  rearrange(manager: WebSocketManager): void {
    if (!manager.isActive) return;
    const { slots } = manager;
    if (manager.isPinned) {
      this.pinned.append(manager.fleetLink);
      slots?.pinned.append(manager.userLink);
      return;
    }
    // Lists are in the order of activity, and the end of pinned work counts as activity.
    manager.lastActivityAt = wholeMs(this.clock.now());
    (manager.socket ? this.idle : this.unattached).append(manager.fleetLink);
    slots?.idle.append(manager.userLink);
  }

  /** Closing began: moves the manager out of reach of cleanup. It still holds its slot. */
  startClosing(manager: WebSocketManager): void {
    this.closing.append(manager.fleetLink);
    this.pings.remove(manager);
  }

  /** Releases the manager's slot and returns the user's slots; `undefined` when the slot was released before. */
  releaseSlot(manager: WebSocketManager): UserSlots | undefined {
    const { slots } = manager;
    if (!slots) return undefined;
    manager.slots = undefined;
    manager.userLink.remove();
    this.forget(slots);
    return slots;
  }

  /** A plug: the listener gets every manager that was removed. */
  useRemovalListener(listener: (manager: WebSocketManager) => void): Unplug {
    return this.#removalListener.use(listener);
  }

  /** Removes a disposed manager, and adds its counters to the totals. */
  remove(manager: WebSocketManager): void {
    if (this.#byConnection.get(manager.context.connectionId) !== manager) return;
    this.#byConnection.delete(manager.context.connectionId);
    manager.fleetLink.remove();
    this.#disposed += 1;
    this.#lifetimeMs += this.clock.now() - manager.createdAt;
    this.#sentByGone += manager.sentMessages;
    this.#removalListener.part?.(manager);
  }
}
