import type { WebSocketManager } from '../manager/web-socket-manager.js';

/** The users of a topic on this node, each with its connections in the order in which they joined. */
export class TopicUsers {
  // Most users have one connection, which needs no list.
  readonly #connections = new Map<string, WebSocketManager | readonly WebSocketManager[]>();

  /** Number of users. */
  get size(): number {
    return this.#connections.size;
  }

  of(userId: string): readonly WebSocketManager[] {
    const connections = this.#connections.get(userId);
    if (connections === undefined) return [];
    return 'context' in connections ? [connections] : connections;
  }

  /** Adds a connection behind the others of its user. @returns whether it is the first one of its user */
  add(manager: WebSocketManager): boolean {
    const { userId } = manager.context;
    const earlier = this.of(userId);
    this.#connections.set(userId, earlier.length === 0 ? manager : [...earlier, manager]);
    return earlier.length === 0;
  }

  /** @returns whether it was the last connection of its user */
  remove(manager: WebSocketManager): boolean {
    const { userId } = manager.context;
    const others = this.of(userId).filter((each) => each !== manager);
    if (others.length === 0) return this.#connections.delete(userId);
    this.#connections.set(userId, others.length === 1 ? others[0]! : others);
    return false;
  }
}
