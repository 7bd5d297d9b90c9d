import type { AnyContract } from '../contract/contract.js';
import type { NoContract } from '../contract/message-types.js';
import { ManagerClosedError } from './manager.errors.js';
import { OutboundChannel } from './outbound-channel.js';

/** Options of `manager.join()`. */
export interface JoinOptions {
  /** Plain data about this member, for `TopicPresence`. */
  readonly presence?: unknown;
}

/** The part of a manager that joins topics. */
export abstract class TopicMember<C extends AnyContract = NoContract> extends OutboundChannel<C> {
  /**
   * @internal The topics that the connection is in, as `topics/joined-topics.ts` packs them; `undefined` for none.
   *
   * A field takes 8 bytes of each connection. In a map beside the managers, a join with its leave took seven
   * operations on the map, and each connection in a topic an entry: see docs/performance.md.
   */
  joinedTopics: object | undefined = undefined;

  /** The topics that this connection is in. A copy: it does not change. */
  get topics(): ReadonlySet<string> {
    return new Set(this.owner.topics?.topicsOf(this));
  }

  /**
   * Joins a topic: from now on, the connection gets what `emitter.toTopic(topic)` sends. Code of the server is trusted,
   * so no authorizer is asked. All topics are left when the connection closes. Joining again replaces
   * `presence`, and makes a membership that an authorizer has granted the server's own: it no longer expires.
   *
   * @returns resolves when the other nodes of a cluster know; without a cluster, at once
   * @throws {ManagerClosedError} on a closed manager
   * @throws {TopicLimitError} when the connection is in `topics.maxPerConnection` topics
   * @throws {InvalidTopicError} for a name that is not 1 to 256 characters, or has control characters
   * @throws {TypeError} for `presence` that JSON cannot express
   */
  join(topic: string, options?: JoinOptions): Promise<void> {
    const { topics } = this.owner;
    if (!this.isActive || !topics) return Promise.reject(new ManagerClosedError('join'));
    try {
      return topics.join(this, topic, options);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  /** Leaves a topic. Returns whether the connection was in it. */
  leave(topic: string): boolean {
    return this.owner.topics?.leave(this, topic) ?? false;
  }
}
