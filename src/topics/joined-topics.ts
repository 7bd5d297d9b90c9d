import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Topic } from './topic.js';

/** The topics that each connection is in. A connection in one topic takes no list. */
export class JoinedTopics {
  readonly #joined = new Map<WebSocketManager, Topic | Topic[]>();

  countOf(manager: WebSocketManager): number {
    const joined = this.#joined.get(manager);
    return Array.isArray(joined) ? joined.length : Number(joined !== undefined);
  }

  of(manager: WebSocketManager): readonly Topic[] {
    const joined = this.#joined.get(manager);
    if (joined === undefined) return [];
    return Array.isArray(joined) ? joined : [joined];
  }

  add(manager: WebSocketManager, topic: Topic): void {
    const joined = this.#joined.get(manager);
    if (joined === undefined) this.#joined.set(manager, topic);
    else if (Array.isArray(joined)) joined.push(topic);
    else this.#joined.set(manager, [joined, topic]);
  }

  remove(manager: WebSocketManager, topic: Topic): void {
    const joined = this.#joined.get(manager);
    if (!Array.isArray(joined) || joined.length === 1) {
      this.#joined.delete(manager);
      return;
    }
    // The order of topics has no meaning, so the last one takes the place.
    const last = joined.pop()!;
    if (last !== topic) joined[joined.indexOf(topic)] = last;
  }

  /** Removes all topics of a connection, and returns them. */
  take(manager: WebSocketManager): readonly Topic[] {
    const joined = this.of(manager);
    this.#joined.delete(manager);
    return joined;
  }
}
