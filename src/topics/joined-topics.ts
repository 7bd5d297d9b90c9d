import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Topic } from './topic.js';

/** Two or three topics. As fields of one object they take two thirds of what an array of them takes. */
class FewTopics {
  constructor(
    readonly first: Topic,
    readonly second: Topic,
    readonly third: Topic | undefined,
  ) {}
}

/** The topics of one connection. Never changed, but replaced: an array that grows keeps room that is never used. */
type Packed = Topic | FewTopics | readonly Topic[];

/** The topics that each connection is in. A connection in one topic takes no list. */
export class JoinedTopics {
  readonly #joined = new Map<WebSocketManager, Packed>();

  countOf(manager: WebSocketManager): number {
    const joined = this.#joined.get(manager);
    return joined === undefined ? 0 : 'topic' in joined ? 1 : unpacked(joined).length;
  }

  of(manager: WebSocketManager): readonly Topic[] {
    const joined = this.#joined.get(manager);
    return joined === undefined ? NONE : unpacked(joined);
  }

  /** The topic of a name, if the connection is in it. */
  find(manager: WebSocketManager, name: string): Topic | undefined {
    const joined = this.#joined.get(manager);
    if (joined === undefined) return undefined;
    // Most connections are in one topic or in few, so their own list is shorter than the way to the topic's members.
    if ('topic' in joined) return joined.topic === name ? joined : undefined;
    return unpacked(joined).find(({ topic }) => topic === name);
  }

  add(manager: WebSocketManager, topic: Topic): void {
    const joined = this.#joined.get(manager);
    this.#joined.set(manager, joined === undefined ? topic : packed([...unpacked(joined), topic]));
  }

  remove(manager: WebSocketManager, topic: Topic): void {
    const joined = this.#joined.get(manager);
    if (joined === undefined) return;
    const left = joined === topic ? NONE : unpacked(joined).filter((other) => other !== topic);
    if (left.length === 0) this.#joined.delete(manager);
    else this.#joined.set(manager, packed(left));
  }

  /** Removes all topics of a connection, and returns them. */
  take(manager: WebSocketManager): readonly Topic[] {
    const joined = this.of(manager);
    this.#joined.delete(manager);
    return joined;
  }
}

const NONE: readonly Topic[] = Object.freeze([]);

/** @param topics at least one */
function packed(topics: readonly Topic[]): Packed {
  const [first, second, third] = topics;
  if (second === undefined) return first!;
  // A copy has no more room than it needs.
  return topics.length > 3 ? topics.slice() : new FewTopics(first!, second, third);
}

function unpacked(joined: Packed): readonly Topic[] {
  if (Array.isArray(joined)) return joined as readonly Topic[];
  if (joined instanceof FewTopics) {
    const { first, second, third } = joined;
    return third === undefined ? [first, second] : [first, second, third];
  }
  return [joined as Topic];
}
