import type { DeliveryTarget } from '../cluster/cluster-delivery.js';
import { type Excepted, type HistoryEvent, isExcepted } from '../history/event-history.js';
import { ALONE } from '../manager/cluster-connections.js';
import { fanOutCritical } from '../manager/fan-out.js';
import type { ManagerRegistry } from '../manager/manager-registry.js';
import { SendFailedError } from '../manager/manager.errors.js';
import type { WebSocketManager } from '../manager/web-socket-manager.js';
import type { Clock } from '../time/clock.js';
import { topicFrame } from '../topics/topic.js';
import { assertTopicName } from '../topics/topic-name.js';
import type { Topics } from '../topics/topics.service.js';
import { assertEvent, encodeFrame, whyNoFrame } from '../wire/frame-encoding.js';
import { framePolicy, type SendOptions } from '../wire/send-policy.js';
import {
  type ClusterDeliveryReport,
  clusterReport,
  type OtherNodes,
  Reach,
  type SharedAudience,
} from './audience.js';

type SharedTarget = Exclude<DeliveryTarget, { userId: string } | { connectionId: string }>;

/** The members of topics, and all connections. */
export class TopicAudiences {
  constructor(
    private readonly topics: Topics,
    private readonly registry: ManagerRegistry,
    private readonly clock: Clock,
    private readonly others: OtherNodes | undefined,
  ) {}

  of(topic: string, except?: readonly Excepted[]): SharedAudience {
    assertTopicName(topic);
    const audience = this.#audience({ topic, except }, (body) => topicFrame(body, topic));
    const { histories } = this.topics;
    const shared: SharedAudience = {
      ...audience,
      except: (excepted) => this.of(topic, added(except, excepted)),
    };
    if (!histories) return shared;
    return {
      ...shared,
      send: (event, data, options) => {
        const recorded = encoded({ topic, except }, event, data, false, options);
        return recorded ? histories.publish(topic, recorded) : audience.send(event, data, options);
      },
      sendAsync: async (event, data, options) => {
        const recorded = encoded({ topic, except }, event, data, false, options);
        if (!recorded) return audience.sendAsync(event, data, options);
        return this.#reported(await histories.publishAndReport(topic, recorded));
      },
      sendCritical: (event, data) => {
        const recorded = encoded({ topic, except }, event, data, true);
        if (!recorded) throw unserializable(data);
        return histories.publish(topic, recorded);
      },
    };
  }

  all(except?: readonly Excepted[]): SharedAudience {
    const audience = this.#audience({ all: true, except }, (body) => body);
    return { ...audience, except: (excepted) => this.all(added(except, excepted)) };
  }

  /** The connections of this process that a target names. */
  addressed(target: SharedTarget): WebSocketManager[] {
    if ('topic' in target) return this.topics.audienceOf(target.topic, target.except);
    const { except } = target;
    const managers: WebSocketManager[] = [];
    for (const manager of this.registry.all()) {
      if (isAdmitted(manager) && !isExcepted(manager.context, except)) managers.push(manager);
    }
    return managers;
  }

  #audience(
    target: SharedTarget,
    complete: (body: string) => string,
  ): Omit<SharedAudience, 'except'> {
    const here = (): WebSocketManager[] => this.addressed(target);
    const reach = new Reach(here, target, this.clock, this.others, complete);
    return {
      send: (event, data, options) => reach.send(event, data, options),
      sendAsync: (event, data, options) => reach.sendAsync(event, data, options),
      sendBinary: (bytes, options) => reach.sendBinary(bytes, options),
      sendCritical: (event, data) => {
        const body = encodeFrame(event, data);
        if (body === undefined) throw unserializable(data);
        const frame = complete(body);
        this.others?.delivery.send(target, frame);
        return fanOutCritical(here(), event, frame);
      },
    };
  }

  #reported({ here, others }: Published): ClusterDeliveryReport {
    return clusterReport(this.others?.nodeId ?? ALONE, here, others);
  }
}

// The guards of a gateway decide while its connection is `connecting`. A manager that was made without a gateway stays in
// that state.
function isAdmitted({ isActive, state, hooks }: WebSocketManager): boolean {
  return isActive && (state !== 'connecting' || hooks === undefined);
}

type Published = Awaited<ReturnType<NonNullable<Topics['histories']>['publishAndReport']>>;

function encoded(
  { topic, except }: { readonly topic: string; readonly except?: readonly Excepted[] | undefined },
  event: string,
  data: unknown,
  isCritical: boolean,
  options?: SendOptions,
): HistoryEvent | undefined {
  assertEvent(event);
  if (framePolicy(options, event)) return undefined;
  const body = encodeFrame(event, data);
  return body === undefined ? undefined : { body: topicFrame(body, topic), isCritical, except };
}

function unserializable(data: unknown): SendFailedError {
  const cause = whyNoFrame({ data });
  return new SendFailedError(`the data cannot be written as JSON (${cause.message})`, { cause });
}

/** @throws {TypeError} for a value that excepts neither a connection nor a user */
function added(except: readonly Excepted[] | undefined, excepted: Excepted): readonly Excepted[] {
  const { connectionId, userId } = (excepted ?? {}) as { connectionId?: unknown; userId?: unknown };
  if (typeof connectionId === 'string') return [...(except ?? []), { connectionId }];
  if (typeof userId === 'string') return [...(except ?? []), { userId }];
  throw new TypeError('Expected except() to get { connectionId } or { userId }, each a string.');
}
