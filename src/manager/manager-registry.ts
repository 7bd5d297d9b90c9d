import type { Clock } from '../time/clock.js';
import { AbandonedWork } from './abandoned-work.js';
import { LinkedList } from '../structures/linked-list.js';
import { Plug, type Unplug } from '../structures/plug.js';
import { PingRing } from './ping-ring.js';
import { Slots } from './slots.js';
import type { UserSlots } from './user-slots.js';
import type { WebSocketManager } from './web-socket-manager.js';

/** `created = active + disposed`, true at every instant. */
export interface Ledger {
  /** Managers ever made. */
  readonly created: number;
  /** Managers that exist and are not disposed: the size of the registry. */
  readonly active: number;
  /** Managers disposed of. */
  readonly disposed: number;
}

/** What became of messages to clients. */
export interface Sendings {
  readonly sent: number;
  /** Not sent: no JSON, a reader too slow, no socket any more. */
  readonly failed: number;
}

/**
 * Which managers there are, whose they are, and which of them cleanup has to look at next. Adding,
 * touching, rearranging and removing cost the same however many there are.
 */
export class ManagerRegistry {
  /** The least recently active first: what idles for too long is at the front. */
  readonly idle = new LinkedList<WebSocketManager>();
  /** Without a socket so far, the oldest first. */
  readonly unattached = new LinkedList<WebSocketManager>();
  readonly pinned = new LinkedList<WebSocketManager>();
  /** On their way out, the first to go first. */
  readonly closing = new LinkedList<WebSocketManager>();

  /** What their connections have left behind unfinished. */
  readonly abandoned = new AbandonedWork();

  /** Whose turn it is to be pinged. */
  readonly pings = new PingRing();

  readonly #byConnection = new Map<string, WebSocketManager>();
  readonly #byUser = new Map<string, UserSlots>();
  readonly #removalListener = new Plug<(manager: WebSocketManager) => void>();
  #created = 0;
  #disposed = 0;
  #lifetimeMs = 0;
  // What those had sent that are gone.
  #sentByGone = 0;
  #failedByGone = 0;

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

  /** Messages of all managers there ever were. Walks through those that exist. */
  get sendings(): Sendings {
    let sent = this.#sentByGone;
    let failed = this.#failedByGone;
    for (const { counters } of this.all()) {
      sent += counters.sent;
      failed += counters.failed;
    }
    return { sent, failed };
  }

  /** The manager that was made first among those that exist. */
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

  /** The user's slots, made when there are none yet. Whoever asks puts something in, or calls {@link forget}. */
  openSlots(userId: string): UserSlots {
    let slots = this.#byUser.get(userId);
    if (!slots) {
      slots = new Slots<WebSocketManager>(userId);
      this.#byUser.set(userId, slots);
    }
    return slots;
  }

  /** Drops a user of whom nothing is left. */
  forget(slots: UserSlots): void {
    if (!slots.isUnused) return;
    this.#byUser.delete(slots.userId);
    slots.watchedIn?.delete(slots);
  }

  /** Takes a slot. From here on the manager exists. */
  add(manager: WebSocketManager): void {
    const slots = this.openSlots(manager.context.userId);
    this.#byConnection.set(manager.context.connectionId, manager);
    this.#created += 1;
    manager.slots = slots;
    slots.idle.append(manager.userLink);
    this.unattached.append(manager.fleetLink);
  }

  /** Traffic: to the end of its lists. */
  touch(manager: WebSocketManager): void {
    const { userLink, fleetLink } = manager;
    if (fleetLink.list === this.idle) this.idle.append(fleetLink);
    const userList = userLink.list;
    if (userList && userList === manager.slots?.idle) userList.append(userLink);
  }

  /** A socket came, or pins did or went: into the lists it belongs in now. */
  rearrange(manager: WebSocketManager): void {
    if (!manager.isActive) return;
    const { slots } = manager;
    if (manager.isPinned) {
      this.pinned.append(manager.fleetLink);
      slots?.pinned.append(manager.userLink);
      return;
    }
    // The end of a list is for the most recently active. Work that just ended is activity.
    manager.lastActivityAt = this.clock.now();
    (manager.socket ? this.idle : this.unattached).append(manager.fleetLink);
    slots?.idle.append(manager.userLink);
  }

  /** Closing began: out of reach for cleanup, its slot still taken. */
  startClosing(manager: WebSocketManager): void {
    this.closing.append(manager.fleetLink);
    this.pings.remove(manager);
  }

  /** Gives the slot back. Exactly once, however often it is called. */
  releaseSlot(manager: WebSocketManager): UserSlots | undefined {
    const { slots } = manager;
    if (!slots) return undefined;
    manager.slots = undefined;
    manager.userLink.remove();
    this.forget(slots);
    return slots;
  }

  /** A plug: gets every manager that was removed. */
  useRemovalListener(listener: (manager: WebSocketManager) => void): Unplug {
    return this.#removalListener.use(listener);
  }

  /** The end of a manager. */
  remove(manager: WebSocketManager): void {
    if (this.#byConnection.get(manager.context.connectionId) !== manager) return;
    this.#byConnection.delete(manager.context.connectionId);
    manager.fleetLink.remove();
    this.#disposed += 1;
    this.#lifetimeMs += this.clock.now() - manager.createdAt;
    this.#sentByGone += manager.counters.sent;
    this.#failedByGone += manager.counters.failed;
    this.#removalListener.part?.(manager);
  }
}
