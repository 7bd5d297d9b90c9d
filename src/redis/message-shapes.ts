import type {
  ClusterTarget,
  ConnectionInfo,
  DeliveryTarget,
  Goodbye,
} from '../cluster/cluster-delivery.js';
import type { Excepted } from '../history/event-history.js';
import type { ThreadKey, TopicKey } from '../history/history-key.js';
import { topicFault } from '../topics/topic-name.js';
import { isSendableCode } from '../wire/close-codes.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import type { FramePolicy } from '../wire/send-policy.js';
import { type Check, count, either, isFinite, list, optional, record, text } from './checks.js';

/** Characters; more than any frame has, because a node queues at most this many bytes for Redis. */
const LONGEST_FRAME = 16 * 1_048_576;
/** More connections than any user has. */
export const MOST_CONNECTIONS = 10_000;

export const isId = text();
export const isHash: Check<string> = (value): value is string =>
  typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);

/** The id of a node. It becomes part of the name of a channel, and a key of reports. */
export const isNodeId: Check<string> = (value): value is string =>
  typeof value === 'string' && /^[0-9A-Za-z-]{1,64}$/.test(value);

/** The frame of an event, as far as that can be checked without parsing it. */
export const isFrameText: Check<string> = (value): value is string =>
  typeof value === 'string' &&
  value.length <= LONGEST_FRAME &&
  value.startsWith('{') &&
  value.endsWith('}');

/** The bytes of a binary frame. */
export const isBase64: Check<string> = (value): value is string =>
  typeof value === 'string' &&
  value.length <= LONGEST_FRAME &&
  value.length % 4 === 0 &&
  /^[0-9A-Za-z+/]*={0,2}$/.test(value);

export const isTarget: Check<ClusterTarget> = either(
  record<{ userId: string; threadId?: string | undefined }>({
    userId: isId,
    threadId: optional(isId),
  }),
  record<{ connectionId: string }>({ connectionId: isId }),
);

export const isGoodbye: Check<Goodbye> = record<Goodbye>({
  code: isSendableCode,
  reason: text(1_024, 0),
});

export const isReport: Check<DeliveryReport> = record<DeliveryReport>({
  sent: count(),
  queued: count(),
  dropped: count(),
  replaced: optional(count()),
});

export const isConnection: Check<ConnectionInfo> = record<ConnectionInfo>({
  nodeId: isNodeId,
  connectionId: isId,
  userId: isId,
  threadId: isId,
  state: text(32),
  ageMs: isFinite,
  idleMs: isFinite,
});

export const isThread: Check<ThreadKey> = record<ThreadKey>({ userId: isId, threadId: isId });
export const isTopic: Check<TopicKey> = record<TopicKey>({ topic: isId });
/** A name that a topic can have. */
export const isTopicName: Check<string> = (value): value is string =>
  topicFault(value) === undefined;
const isExcepted: Check<Excepted> = either(
  record<{ connectionId: string }>({ connectionId: isId }),
  record<{ userId: string }>({ userId: isId }),
);

/** More exceptions than any program makes. */
const MOST_EXCEPTED = 10_000;
export const areExcepted = list(isExcepted, MOST_EXCEPTED);

export const isDeliveryTarget: Check<DeliveryTarget> = either(
  isTarget,
  either(
    record<{ topic: string; except?: readonly Excepted[] | undefined }>({
      topic: isId,
      except: optional(areExcepted),
    }),
    record<{ all: true; except?: readonly Excepted[] | undefined }>({
      all: (value): value is true => value === true,
      except: optional(areExcepted),
    }),
  ),
);

export const isFramePolicy: Check<FramePolicy> = either(
  (value): value is 'drop' => value === 'drop',
  record<{ latest: string }>({ latest: text(LONGEST_FRAME) }),
);
