import { Inject, Injectable, Optional } from '@nestjs/common';

import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import { assertIdText } from '../context/identifier.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { merged, type PresenceMember } from './member-list.js';
import { assertTopicName } from './topic-name.js';
import { Topics } from './topics.service.js';

/** Users that are asked for at once. */
const PAGE = 1_000;

/**
 * Who is in a topic, and who is online, on all nodes of a cluster. By user: a user with three tabs in a topic is one
 * member with three connections.
 *
 * @example `const { length } = await this.presence.members('room:7')`
 */
@Injectable()
export class TopicPresence {
  /** @internal */
  constructor(
    private readonly topics: Topics,
    private readonly factory: WebSocketManagerFactory,
    @Optional() @Inject(CLUSTER) private readonly cluster?: Cluster,
  ) {}

  /**
   * The users in a topic. In a cluster, rejects when Redis does not reply in time.
   *
   * @throws {InvalidTopicError} for a name that no topic can have
   */
  async members(topic: string): Promise<PresenceMember[]> {
    assertTopicName(topic);
    const users = await (this.cluster?.topics?.usersOf(topic) ?? this.topics.usersOf(topic));
    const byUser = new Map<string, PresenceMember>();
    for (const user of users) byUser.set(user.userId, merged(byUser.get(user.userId), user));
    return [...byUser.values()];
  }

  /**
   * The number of users in a topic. In a cluster, rejects when Redis does not reply in time.
   *
   * @throws {InvalidTopicError} for a name that no topic can have
   */
  async count(topic: string): Promise<number> {
    assertTopicName(topic);
    return (await this.cluster?.topics?.countOf(topic)) ?? this.topics.userCount(topic);
  }

  /**
   * Whether a user has a connection, on any node. In a cluster, rejects when Redis does not reply in time.
   *
   * @throws {TypeError} for an id that is no text
   */
  async isOnline(userId: string): Promise<boolean> {
    assertIdText(userId, 'userId');
    if (this.factory.managersOf(userId).length > 0) return true;
    return (await this.cluster?.topics?.isOnline(userId)) ?? false;
  }

  /** All users that have a connection on any node, each once, in no order. Nodes that do not reply in time are left out. */
  async *online(): AsyncIterable<string> {
    const seen = new Set<string>();
    for (let page = this.#pageAfter(''); page.length > 0; page = this.#pageAfter(page.at(-1)!)) {
      for (const userId of page) {
        seen.add(userId);
        yield userId;
      }
    }
    for await (const userId of this.cluster?.topics?.onlineElsewhere() ?? []) {
      if (seen.has(userId)) continue;
      seen.add(userId);
      yield userId;
    }
  }

  #pageAfter(userId: string): string[] {
    return this.topics.onlineAfter(userId, PAGE);
  }
}
