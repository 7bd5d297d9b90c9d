import { Inject, Injectable, type OnModuleDestroy, Optional } from '@nestjs/common';

import { type Clock, CLOCK } from '../time/clock.js';
import { CLUSTER, type Cluster } from '../cluster/cluster.js';
import type { DeliveryTarget, LocalDelivery } from '../cluster/cluster-delivery.js';
import { assertIdText } from '../context/identifier.js';
import type { AnyContract } from '../contract/contract.js';
import type { NoContract, TopicMessages, TopicName } from '../contract/message-types.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import type { ThreadKey } from '../history/history-key.js';
import { encodeFrame, whyNoFrame } from '../wire/frame-encoding.js';
import { framePolicy } from '../wire/send-policy.js';
import { SendFailedError } from '../manager/manager.errors.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import { ALONE } from '../manager/cluster-connections.js';
import { fanOutCritical } from '../manager/fan-out.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { Tracing } from '../monitoring/tracing.js';
import { Resume } from '../resume/resume.service.js';
import { Topics } from '../topics/topics.service.js';
import {
  type AskingAudience,
  type Audience,
  type ClusterDeliveryReport,
  clusterReport,
  deliver,
  type OtherNodes,
  Reach,
  type SharedAudience,
  type ThreadAudience,
} from './audience.js';
import { AudienceAsks } from './audience-asks.js';
import { TopicAudiences } from './topic-audiences.js';
import { tracedAudience } from './traced-audience.js';

/**
 * Sends messages to connections from any code: a controller, a queue worker, another user's handler. In a cluster, the
 * connections may be on any node.
 *
 * @example `emitter.toUser(userId).send('invoice-paid', { id })`
 */
@Injectable()
export class WebSocketEmitter<C extends AnyContract = NoContract> implements OnModuleDestroy {
  readonly #others: OtherNodes | undefined;
  readonly #topics: TopicAudiences;
  readonly #asks: AudienceAsks;

  /** @internal */
  constructor(
    private readonly factory: WebSocketManagerFactory,
    @Inject(CLOCK) private readonly clock: Clock,
    topics: Topics,
    registry: ManagerRegistry,
    private readonly tracing: Tracing,
    @Optional() @Inject(Resume) private readonly resume?: Resume,
    @Optional() @Inject(CLUSTER) cluster?: Cluster,
  ) {
    this.#others = cluster && { delivery: cluster.delivery, nodeId: cluster.nodeId };
    this.#topics = new TopicAudiences(topics, registry, clock, this.#others);
    this.#asks = new AudienceAsks(factory, resume !== undefined, cluster?.asks);
    cluster?.delivery.useLocalDelivery(this.#localDelivery());
  }

  /**
   * All connections of a user.
   *
   * @throws {TypeError} for an id that is no text
   */
  toUser(userId: string): AskingAudience<C['server'], C['asks']> {
    assertIdText(userId, 'userId');
    const here = (): WebSocketManager[] => this.factory.managersOf(userId);
    const reach = new Reach(here, { userId }, this.clock, this.#others);
    // The contract is for the compiler: here, an event is any text.
    const audience: AskingAudience = {
      send: (event, data, options) => reach.send(event, data, options),
      sendAsync: (event, data, options) => reach.sendAsync(event, data, options),
      sendBinary: (bytes, options) => reach.sendBinary(bytes, options),
      ask: this.#asks.to({ userId }),
    };
    return this.#traced(audience, { userId });
  }

  /**
   * All connections that a user has open on one thread.
   *
   * @throws {TypeError} for an id that is no text: `undefined` as `threadId` does not stand for all threads
   */
  toThread(userId: string, threadId: string): ThreadAudience<C['server'], C['asks']> {
    assertIdText(userId, 'userId');
    assertIdText(threadId, 'threadId');
    const thread = { userId, threadId };
    const reach = new Reach(() => this.#managersOf(thread), thread, this.clock, this.#others);
    const audience: ThreadAudience = {
      // What may be left out for a slow reader has no place in a numbered history.
      send: (event, data, options) =>
        (framePolicy(options, event) ? undefined : this.#record(thread, event, data)) ??
        reach.send(event, data, options),
      sendAsync: async (event, data, options) =>
        framePolicy(options, event)
          ? reach.sendAsync(event, data, options)
          : this.#recordAndReport(thread, reach, event, data),
      sendBinary: (bytes, options) => reach.sendBinary(bytes, options),
      sendCritical: (event, data) => this.#sendCritical(thread, event, data),
      ask: this.#asks.to(thread),
    };
    return this.#traced(audience, thread);
  }

  /**
   * One connection. In a cluster, a message for a connection that is not on this node goes to all nodes.
   *
   * @throws {TypeError} for an id that is no text
   */
  toConnection(connectionId: string): Audience<C['server']> {
    assertIdText(connectionId, 'connectionId');
    const target = { connectionId };
    const here = (): readonly WebSocketManager[] =>
      this.factory.clusterConnections.addressed(target);
    const reach = new Reach(here, target, this.clock, this.#others);
    const audience: Audience = {
      send: (event, data, options) => reach.send(event, data, options),
      sendAsync: (event, data, options) => reach.sendAsync(event, data, options),
      sendBinary: (bytes, options) => reach.sendBinary(bytes, options),
    };
    return this.#traced(audience, target);
  }

  /**
   * All members of a topic. Each delivery carries the topic: `{"event", "data", "topic"}`. With `topics.history` on,
   * events are numbered, and every member gets them in the same order, on every node. Without it, a message reaches
   * each member at most once.
   *
   * @example `emitter.toTopic('room:7').except({ connectionId }).send('said', { text })`
   * @throws {InvalidTopicError} for a name that no topic can have
   */
  toTopic<Topic extends TopicName<C>>(topic: Topic): SharedAudience<TopicMessages<C, Topic>> {
    return this.#traced(this.#topics.of(topic), { topic });
  }

  /**
   * All connections of all users, once their guards and `handleConnection` have ended. In a cluster, a message goes to
   * every node.
   */
  toAll(): SharedAudience<C['server']> {
    return this.#traced(this.#topics.all(), { all: true });
  }

  onModuleDestroy(): void {
    this.#asks.dispose();
  }

  #traced<A extends Audience>(audience: A, target: DeliveryTarget): A {
    return tracedAudience(audience, target, this.tracing.tracer);
  }

  #record(thread: ThreadKey, event: string, data: unknown): DeliveryReport | undefined {
    const body = this.resume && encodeFrame(event, data);
    return body === undefined
      ? undefined
      : this.resume?.publish(thread, { body, isCritical: false });
  }

  async #recordAndReport(
    thread: ThreadKey,
    reach: Reach,
    event: string,
    data: unknown,
  ): Promise<ClusterDeliveryReport> {
    const body = this.#others && this.resume && encodeFrame(event, data);
    const elsewhere = body && this.resume?.publishAndReport(thread, { body, isCritical: false });
    if (this.#others && elsewhere) {
      return clusterReport(this.#others.nodeId, undefined, await elsewhere);
    }
    const here = this.#record(thread, event, data);
    return here ? clusterReport(ALONE, here, undefined) : reach.sendAsync(event, data);
  }

  #sendCritical(thread: ThreadKey, event: string, data: unknown): DeliveryReport {
    const body = encodeFrame(event, data);
    if (body === undefined) {
      const cause = whyNoFrame({ data });
      throw new SendFailedError(`the data cannot be written as JSON (${cause.message})`, { cause });
    }
    const recorded = this.resume?.publish(thread, { body, isCritical: true });
    if (recorded) return recorded;
    this.#others?.delivery.send(thread, body);
    return fanOutCritical(this.#managersOf(thread), event, body);
  }

  #managersOf({ userId, threadId }: ThreadKey): WebSocketManager[] {
    return this.factory.managersOfThread(userId, threadId);
  }

  #addressed(target: DeliveryTarget): readonly WebSocketManager[] {
    return 'topic' in target || 'all' in target
      ? this.#topics.addressed(target)
      : this.factory.clusterConnections.addressed(target);
  }

  // The requests of other nodes that this node serves.
  #localDelivery(): LocalDelivery {
    return {
      deliver: (target, message, policy) =>
        deliver(this.#addressed(target), message, this.clock, policy),
      revoke: (target, revocation, before) =>
        this.factory.clusterConnections.revokeHere(target, revocation, before),
      disconnectOlder: (before, goodbye) =>
        this.factory.clusterConnections.disconnectOlder(before, goodbye),
      connectionsOf: (userId) => this.factory.clusterConnections.connectionsHere(userId),
    };
  }
}
