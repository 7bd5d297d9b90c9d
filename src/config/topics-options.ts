import { IsOptional, ValidateNested } from '../validation/class-validator.js';

import type { Type } from '@nestjs/common';

import type { UserExecutionContext } from '../context/user-execution-context.js';
import { atLeastOne, bytes, flag, IsFunction, millisecondsFrom } from './option-rules.js';

/** What an authorizer may return instead of `true`. */
export interface TopicGrant {
  /** Plain data about the member, for {@link TopicPresence}. */
  readonly presence?: unknown;
  /** When the membership ends; the client gets `unsubscribed` then. Default: with the connection. */
  readonly expiresAt?: Date | number | undefined;
}

/** Decides which clients may subscribe to which topics. */
export interface TopicAuthorizer {
  /**
   * Whether a client may subscribe to a topic. Called again for every subscription, also when a client comes back.
   *
   * @param context of the connection that asks
   * @param signal aborted when the connection closes, the client unsubscribes, or `handshake.timeoutMs` has passed
   * @returns `true` or a {@link TopicGrant} to admit the client; anything else refuses it, or a promise of either
   */
  authorize(
    context: UserExecutionContext,
    topic: string,
    signal: AbortSignal,
  ): boolean | TopicGrant | Promise<boolean | TopicGrant>;
}

/** An authorizer as a function. */
export type AuthorizeTopicFunction = TopicAuthorizer['authorize'];

/** What is kept of each topic for clients that come back. Nothing is kept unless the group is given. */
export class TopicHistoryOptions {
  /** Milliseconds that an event is kept, and that a topic is kept after its last member has left. Default: 120,000. */
  @millisecondsFrom(1)
  windowMs = 120_000;

  /** Events kept of one topic. Default: 1,000. */
  @atLeastOne()
  maxEvents = 1_000;

  /** Bytes kept of one topic. Default: 1,048,576 (1 MiB). */
  @bytes()
  maxBytes = 1_048_576;

  /**
   * Topics that are kept although they have no member. Only without a cluster: in memory of one process.
   * Default: 10,000.
   */
  @atLeastOne()
  maxTopics = 10_000;

  /**
   * Bytes kept of all topics together in the memory of one process; in a cluster, of all topics that one node sends to.
   * Default: 67,108,864 (64 MiB).
   */
  @bytes()
  maxTotalBytes = 67_108_864;
}

/** Topics: names that connections of different users join. */
export class TopicsOptions {
  /** Decides which clients may subscribe: a provider class or a function. Default: no client may. */
  @IsOptional()
  @IsFunction()
  authorizer: Type<TopicAuthorizer> | AuthorizeTopicFunction | undefined = undefined;

  /** Topics of one connection, requests under way included. Default: 100. */
  @atLeastOne()
  maxPerConnection = 100;

  /** Whether members get a `presence` event when users join and leave. Set it alike on all nodes. Default: false. */
  @flag()
  presence = false;

  /**
   * Milliseconds between two `presence` events of a topic, at least: changes in between are sent together.
   * Default: 1,000.
   */
  @millisecondsFrom(1)
  presenceIntervalMs = 1_000;

  /** Users of a topic above which `presence` events name none of them and only carry the count. Default: 1,000. */
  @atLeastOne()
  presenceMaxMembers = 1_000;

  /** Keeps the events of topics, numbered, for clients that come back. Default: off; `{}` is on, with the defaults. */
  @IsOptional()
  @ValidateNested()
  history: TopicHistoryOptions | undefined = undefined;
}
