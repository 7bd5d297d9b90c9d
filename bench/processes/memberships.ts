import type { WebSocketManager } from 'nestjs-websocket-isolation';

import type { MembershipWay } from '../metrics.js';

/** Joins and leaves topics. */
interface Memberships {
  join(manager: WebSocketManager, topic: string): void;
  leave(manager: WebSocketManager, topic: string): void;
}

/** Members of a topic. */
const TOPIC_SIZE = 1_024;

/** What an app without topics would write. It does not know which topics a connection is in. */
class ByHand implements Memberships {
  readonly #topics = new Map<string, Set<WebSocketManager>>();

  join(manager: WebSocketManager, topic: string): void {
    let members = this.#topics.get(topic);
    if (!members) this.#topics.set(topic, (members = new Set()));
    members.add(manager);
  }

  leave(manager: WebSocketManager, topic: string): void {
    const members = this.#topics.get(topic);
    if (members?.delete(manager) && members.size === 0) this.#topics.delete(topic);
  }
}

const ours: Memberships = {
  join: (manager, topic) => void manager.join(topic),
  leave: (manager, topic) => void manager.leave(topic),
};

const ways: Readonly<Record<MembershipWay, Memberships>> = {
  'Map of Sets by hand': new ByHand(),
  'join, leave': ours,
};

/** Lets managers join `topicsEach` topics each. */
export function joinAll(
  way: MembershipWay,
  managers: readonly WebSocketManager[],
  topicsEach: number,
): void {
  forEachMembership(managers, topicsEach, (manager, topic) => ways[way].join(manager, topic));
}

/** Undoes {@link joinAll}. */
export function leaveAll(
  way: MembershipWay,
  managers: readonly WebSocketManager[],
  topicsEach: number,
): void {
  forEachMembership(managers, topicsEach, (manager, topic) => ways[way].leave(manager, topic));
}

function forEachMembership(
  managers: readonly WebSocketManager[],
  topicsEach: number,
  work: (manager: WebSocketManager, topic: string) => void,
): void {
  for (let first = 0; first < managers.length; first += TOPIC_SIZE) {
    const topics = Array.from({ length: topicsEach }, (_, index) => `topic ${first} ${index}`);
    for (const manager of managers.slice(first, first + TOPIC_SIZE)) {
      for (const topic of topics) work(manager, topic);
    }
  }
}
