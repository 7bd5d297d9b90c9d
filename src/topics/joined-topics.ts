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

/**
 * The topics of one connection, in a field of its manager. One topic takes no list. Never changed, but replaced: an array
 * that grows keeps room that is never used.
 */
type Packed = Topic | FewTopics | readonly Topic[];

const NONE: readonly Topic[] = Object.freeze([]);

/** The topics that a connection is in. */
export function joinedTopics(manager: WebSocketManager): readonly Topic[] {
  const joined = joinedBy(manager);
  return joined === undefined ? NONE : unpacked(joined);
}

export function countJoined(manager: WebSocketManager): number {
  const joined = joinedBy(manager);
  return joined === undefined ? 0 : 'topic' in joined ? 1 : unpacked(joined).length;
}

/** The topic of a name, if the connection is in it. */
export function findJoined(manager: WebSocketManager, name: string): Topic | undefined {
  const joined = joinedBy(manager);
  if (joined === undefined) return undefined;
  // Most connections are in one topic or in few, so their own list is shorter than the way to the topic's members.
  if ('topic' in joined) return joined.topic === name ? joined : undefined;
  return unpacked(joined).find(({ topic }) => topic === name);
}

export function addJoined(manager: WebSocketManager, topic: Topic): void {
  const joined = joinedBy(manager);
  manager.joinedTopics = joined === undefined ? topic : packed([...unpacked(joined), topic]);
}

export function removeJoined(manager: WebSocketManager, topic: Topic): void {
  const joined = joinedBy(manager);
  if (joined === undefined) return;
  const left = joined === topic ? NONE : unpacked(joined).filter((other) => other !== topic);
  manager.joinedTopics = packed(left);
}

/** Removes all topics of a connection, and returns them. */
export function takeJoined(manager: WebSocketManager): readonly Topic[] {
  const joined = joinedTopics(manager);
  manager.joinedTopics = undefined;
  return joined;
}

// Only this file writes the field. A lower folder, that of the manager, does not know what a topic is.
function joinedBy(manager: WebSocketManager): Packed | undefined {
  return manager.joinedTopics as Packed | undefined;
}

function packed(topics: readonly Topic[]): Packed | undefined {
  const [first, second, third] = topics;
  if (second === undefined) return first;
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
