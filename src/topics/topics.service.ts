import type { OnModuleDestroy } from '@nestjs/common';

import type { ClusterTopics, LocalTopics, PresenceChange } from '../cluster/cluster-topics.js';
import type { TopicsOptions } from '../config/topics-options.js';
import type { Excepted } from '../history/event-history.js';
import type { TopicLeaveCause } from '../journal/isolation-events.js';
import { type Journal, subjectOf } from '../journal/journal.js';
import { fanOut } from '../manager/fan-out.js';
import type { TopicMemberships } from '../manager/manager-owner.js';
import type { ManagerRegistry } from '../manager/manager-registry.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { Plug, type Unplug } from '../structures/plug.js';
import type { Clock } from '../time/clock.js';
import { GrantExpiries } from './grant-expiries.js';
import {
  addJoined,
  countJoined,
  findJoined,
  joinedTopics,
  removeJoined,
  takeJoined,
} from './joined-topics.js';
import type { Joining, TopicRemoval } from './joining.js';
import { membersOf, plain, type PresenceMember } from './member-list.js';
import { PresenceEvents } from './presence-events.js';
import { assertTopicName } from './topic-name.js';
import type { TopicHistories } from './topic-histories.js';
import { Topic, topicFrame } from './topic.js';
import { TopicLimitError } from './topic.errors.js';

const DONE = Promise.resolve();

/** A grant has ended, and the topic was not given up: what the authorizer says to a new request is newer. */
const LAPSES: ReadonlySet<TopicLeaveCause> = new Set(['expired', 'forbidden']);

/** The topics that connections of this process are in. A topic exists while it has members here. */
export class Topics implements TopicMemberships<WebSocketManager>, LocalTopics, OnModuleDestroy {
  readonly #topics = new Map<string, Topic>();
  readonly #expiries: GrantExpiries;
  readonly #presence: PresenceEvents | undefined;
  readonly #subscriptions = new Plug<(manager: WebSocketManager, name: string) => void>();

  constructor(
    private readonly options: TopicsOptions,
    clock: Clock,
    private readonly journal: Journal,
    private readonly registry: ManagerRegistry,
    /** `undefined` where topics have no history. */
    readonly histories: TopicHistories | undefined,
    private readonly cluster: ClusterTopics | undefined,
  ) {
    this.#expiries = new GrantExpiries(clock);
    const send = (name: string, body: string): void => {
      const topic = this.#topics.get(name);
      if (topic) fanOut([...topic.members], topicFrame(body, name), clock);
    };
    const count = (name: string): number => this.userCount(name);
    if (options.presence) this.#presence = new PresenceEvents(clock, options, count, send);
    histories?.find((name) => this.#topics.get(name));
    cluster?.useLocalTopics(this);
  }

  /** Number of topics that have members on this process. */
  get size(): number {
    return this.#topics.size;
  }

  /** Number of memberships on this process. */
  get memberships(): number {
    let sum = 0;
    for (const { members } of this.#topics.values()) sum += members.size;
    return sum;
  }

  get mostNamed(): number | undefined {
    return this.options.presence ? this.options.presenceMaxMembers : undefined;
  }

  userCount(name: string): number {
    const topic = this.#topics.get(name);
    return topic?.users?.size ?? this.usersOf(name).length;
  }

  /** The topic, if a connection of this process is in it. */
  get(name: string): Topic | undefined {
    return this.#topics.get(name);
  }

  /** The topics, in the order in which they were first joined. */
  all(): IterableIterator<Topic> {
    return this.#topics.values();
  }

  /** The members on this process that a message goes to. Counts the message. */
  audienceOf(name: string, except?: readonly Excepted[]): WebSocketManager[] {
    return this.#topics.get(name)?.audience(except) ?? [];
  }

  countOf(manager: WebSocketManager): number {
    return countJoined(manager);
  }

  *topicsOf(manager: WebSocketManager): IterableIterator<string> {
    for (const { topic } of joinedTopics(manager)) yield topic;
  }

  /** The topics that the client of a connection has subscribed to itself, where identities can be renewed. */
  grantedTo(manager: WebSocketManager): readonly Topic[] {
    return joinedTopics(manager).filter((topic) => topic.detailsOf(manager)?.grant);
  }

  /**
   * @param reserved topics that the connection has asked for and is not in yet
   * @throws {TopicLimitError} when the connection may join no further topic
   */
  assertRoom(manager: WebSocketManager, reserved = 0): void {
    const { maxPerConnection } = this.options;
    if (this.countOf(manager) + reserved >= maxPerConnection) {
      throw new TopicLimitError(maxPerConnection);
    }
  }

  join(manager: WebSocketManager, name: string, options: Joining = {}): Promise<void> {
    const presence = plain(options.presence);
    const known = findJoined(manager, name);
    const topic = known ?? this.#enter(manager, name);
    if (presence !== undefined) topic.setPresence(manager, presence);
    topic.setGranted(manager, options.isGranted);
    if (options.expiresAtMs !== undefined) {
      const expired = (): void => void this.remove(manager, name, 'expired');
      topic.detailed(manager).stopExpiry = this.#expiries.watch(
        manager,
        options.expiresAtMs,
        expired,
      );
    }
    const registered = this.#registered(manager, topic, options);
    // Last, because a listener may let the connection leave.
    if (!known && this.journal.isHeard('topic-joined')) {
      this.journal.record('topic-joined', { subject: subjectOf(manager.context), topic: name });
    }
    return registered;
  }

  /** A plug: revokes the subscription of a connection that has no reply yet. */
  useSubscriptions(revoke: (manager: WebSocketManager, name: string) => void): Unplug {
    return this.#subscriptions.use(revoke);
  }

  leave(manager: WebSocketManager, name: string, cause: TopicLeaveCause = 'left'): boolean {
    // Before the authorizer answers, too: or the client would be in the topic again a moment later.
    if (!LAPSES.has(cause)) this.#subscriptions.part?.(manager, name);
    const topic = findJoined(manager, name);
    if (!topic) return false;
    removeJoined(manager, topic);
    this.#remove(manager, topic, cause);
    return true;
  }

  /** Ends a membership that the client has not given up itself, and tells the client. */
  remove(manager: WebSocketManager, name: string, reason: TopicRemoval): boolean {
    if (!this.leave(manager, name, reason)) return false;
    manager.send('unsubscribed', { topic: name, reason });
    return true;
  }

  /** Ends memberships whose grants have expired, although no timer has noticed. */
  checkGrants(manager: WebSocketManager): void {
    this.#expiries.check(manager);
  }

  leaveAll(manager: WebSocketManager): void {
    for (const topic of takeJoined(manager)) {
      // A listener of the event for one topic may have let the connection leave the next.
      if (topic.members.has(manager)) this.#remove(manager, topic, 'closed');
    }
  }

  usersOf(name: string, only?: ReadonlySet<string>): PresenceMember[] {
    const topic = this.#topics.get(name);
    return topic ? membersOf(topic, only) : [];
  }

  onlineAfter(userId: string, most: number): string[] {
    const users = [...this.registry.users()].map((slots) => slots.userId);
    return users
      .filter((user) => user > userId)
      .toSorted()
      .slice(0, most);
  }

  changed(name: string, { joined, left, count }: PresenceChange): void {
    if (this.#topics.has(name)) this.#presence?.add(name, joined, left, count);
  }

  onModuleDestroy(): void {
    this.#presence?.dispose();
    this.histories?.dispose();
  }

  #made(name: string): Topic {
    const topic = new Topic(name, this.options.presence || this.cluster !== undefined);
    this.#topics.set(name, topic);
    return topic;
  }

  #enter(manager: WebSocketManager, name: string): Topic {
    const known = this.#topics.get(name);
    // The name of a topic that exists has been looked at.
    if (!known) assertTopicName(name);
    this.assertRoom(manager);
    const topic = known ?? this.#made(name);
    const isFirst = topic.add(manager);
    addJoined(manager, topic);
    if (isFirst && !this.cluster) this.#presence?.add(name, [manager.context.userId], []);
    return topic;
  }

  #registered(manager: WebSocketManager, topic: Topic, options: Joining): Promise<void> {
    const { position, placed } = options;
    // A client that subscribes again begins at its new position.
    const isReading = topic.detailsOf(manager)?.reader !== undefined && !placed;
    const reader = isReading ? undefined : this.histories?.enter(manager, topic, position, placed);
    const registered = this.cluster?.changed(topic.topic, manager.context.userId);
    // An event that is sent after the other nodes know of the member reaches it. So only then the history is read.
    if (registered) return reader ? registered.then(() => reader.start()) : registered;
    reader?.start();
    return DONE;
  }

  #remove(manager: WebSocketManager, topic: Topic, cause: TopicLeaveCause): void {
    const { topic: name } = topic;
    const isLast = topic.remove(manager);
    if (topic.members.size === 0) {
      this.#topics.delete(name);
      this.#presence?.forget(name);
    } else if (isLast && !this.cluster) {
      this.#presence?.add(name, [], [manager.context.userId]);
    }
    void this.cluster?.changed(name, manager.context.userId);
    if (this.journal.isHeard('topic-left')) {
      this.journal.record('topic-left', {
        subject: subjectOf(manager.context),
        topic: name,
        cause,
      });
    }
  }
}
