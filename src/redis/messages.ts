import { isSendableCode } from '../wire/close-codes.js';
import type {
  ClusterTarget,
  ConnectionInfo,
  DeliveryTarget,
  Goodbye,
} from '../cluster/cluster-delivery.js';
import { parsePosition } from '../history/position.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import type { PresenceChange } from '../cluster/cluster-topics.js';
import type { Excepted } from '../history/event-history.js';
import type { HistoryKey, ThreadKey, TopicKey } from '../history/history-key.js';
import {
  type Check,
  count,
  either,
  isFinite,
  isFlag,
  isNothing,
  list,
  optional,
  record,
  text,
} from './checks.js';

/** A kind of message between nodes: its name, and the shapes of its body and of the answer. */
export interface Topic<Body, Answer> {
  readonly name: string;
  readonly isBody: Check<Body>;
  readonly isAnswer: Check<Answer>;
}

/** Characters; more than any frame has, because a node queues at most this many bytes for Redis. */
const LONGEST_FRAME = 16 * 1_048_576;
/** More connections than any user has. */
const MOST_CONNECTIONS = 10_000;

export const isId = text();
const isHash: Check<string> = (value): value is string =>
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

const isTarget: Check<ClusterTarget> = either(
  record<{ userId: string; threadId?: string | undefined }>({
    userId: isId,
    threadId: optional(isId),
  }),
  record<{ connectionId: string }>({ connectionId: isId }),
);

const isGoodbye: Check<Goodbye> = record<Goodbye>({
  code: isSendableCode,
  reason: text(1_024, 0),
});

const isReport: Check<DeliveryReport> = record<DeliveryReport>({
  sent: count(),
  queued: count(),
  dropped: count(),
});

const isConnection: Check<ConnectionInfo> = record<ConnectionInfo>({
  nodeId: isNodeId,
  connectionId: isId,
  userId: isId,
  threadId: isId,
  state: text(32),
  ageMs: isFinite,
  idleMs: isFinite,
});

const isThread: Check<ThreadKey> = record<ThreadKey>({ userId: isId, threadId: isId });
const isTopic: Check<TopicKey> = record<TopicKey>({ topic: isId });
const isExcepted: Check<Excepted> = either(
  record<{ connectionId: string }>({ connectionId: isId }),
  record<{ userId: string }>({ userId: isId }),
);

/** More exceptions than any program makes. */
const MOST_EXCEPTED = 10_000;
const areExcepted = list(isExcepted, MOST_EXCEPTED);

const isDeliveryTarget: Check<DeliveryTarget> = either(
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

/** Hands a frame to connections. */
export const DELIVER: Topic<{ target: DeliveryTarget; frame: string }, DeliveryReport> = {
  name: 'deliver',
  isBody: record({ target: isDeliveryTarget, frame: isFrameText }),
  isAnswer: isReport,
};

/** Connections to close. `at` is the last field: Redis fills it in. */
export interface Revocation {
  readonly target: ClusterTarget;
  readonly goodbye: Goodbye;
  readonly id?: string | undefined;
  /** A time of Redis: connections made later stay open. If it is missing, all connections are closed. */
  readonly at?: number | undefined;
}

export const isRevocation: Check<Revocation> = record<Revocation>({
  target: isTarget,
  goodbye: isGoodbye,
  id: optional(text(64)),
  at: optional(count()),
});

/** Closes connections. The answer is the number of connections. */
export const DISCONNECT: Topic<Revocation, number> = {
  name: 'disconnect',
  isBody: isRevocation,
  isAnswer: count(),
};

/** Asks for the connections that a user has on the node. */
export const CONNECTIONS: Topic<{ target: { userId: string } }, readonly ConnectionInfo[]> = {
  name: 'connections',
  isBody: record({ target: record({ userId: isId }) }),
  isAnswer: list(isConnection, MOST_CONNECTIONS),
};

/** An event on its way between nodes. `position` is the last field: Redis fills it in. */
export interface EventBody<Key> {
  readonly key: Key;
  readonly frame: string;
  readonly isCritical: boolean;
  readonly onlyFor?: string | undefined;
  readonly except?: readonly Excepted[] | undefined;
  readonly position: string;
}

/** The messages between nodes about histories of one kind. */
export interface HistoryMessages<Key extends HistoryKey> {
  /** An event that has got its position. */
  readonly event: Topic<EventBody<Key>, DeliveryReport>;
  /** Events were lost before they reached Redis. */
  readonly doubt: Topic<{ key: Key }, null>;
}

function historyMessages<Key extends HistoryKey>(
  prefix: string,
  isKey: Check<Key>,
): HistoryMessages<Key> {
  const isBody = record<EventBody<Key>>({
    key: isKey,
    frame: isFrameText,
    isCritical: isFlag,
    onlyFor: optional(isId),
    except: optional(areExcepted),
    position: (value): value is string =>
      typeof value === 'string' && parsePosition(value) !== undefined,
  });
  return {
    event: { name: `${prefix}event`, isBody, isAnswer: isReport },
    doubt: { name: `${prefix}doubt`, isBody: record({ key: isKey }), isAnswer: isNothing },
  };
}

export const THREAD_MESSAGES = historyMessages('', isThread);
export const TOPIC_MESSAGES = historyMessages('topic-', isTopic);

const MOST_NAMES = 100_000;

/** Who has joined and left a topic. `change` is the last field: Redis fills it in. */
export const PRESENCE: Topic<{ topic: string; change: PresenceChange }, null> = {
  name: 'presence',
  isBody: record({
    topic: isId,
    change: record<PresenceChange>({
      joined: list(isId, MOST_NAMES),
      left: list(isId, MOST_NAMES),
      count: count(),
    }),
  }),
  isAnswer: isNothing,
};

/** Asks for the users that have connections on the node, in the order of their ids. */
export const ONLINE: Topic<{ after: string }, readonly string[]> = {
  name: 'online',
  isBody: record({ after: text(256, 0) }),
  isAnswer: list(isId, MOST_CONNECTIONS),
};

/** A user, identified by the hash of the id. */
export interface HashedUser {
  readonly hash: string;
}

/** A connection that may be evicted, by its name in the lease registry. */
export interface IdleMember {
  readonly member: string;
  /** Milliseconds without traffic at the time of the question; negative if there was traffic since. */
  readonly idleMs: number;
}

/** Starts the emergency cleanup of a user on the node. The answer is the connections that may be evicted. */
export const RESCUE: Topic<HashedUser, readonly IdleMember[]> = {
  name: 'rescue',
  isBody: record<HashedUser>({ hash: isHash }),
  isAnswer: list(record<IdleMember>({ member: text(512), idleMs: isFinite }), MOST_CONNECTIONS),
};

/** A hint to reconcile the leases of a user: one of them was evicted or is in doubt. */
export const RENEW: Topic<HashedUser, null> = {
  name: 'renew',
  isBody: record<HashedUser>({ hash: isHash }),
  isAnswer: isNothing,
};

/** The wrapper of every message between nodes. */
export interface Envelope {
  readonly from: string;
  readonly topic: string;
  /** The id of a question, repeated in its answers; other messages have none. */
  readonly id?: string | undefined;
  readonly body: unknown;
}

export const isEnvelope: Check<Envelope> = record<Envelope>({
  from: isNodeId,
  topic: text(64),
  id: optional(text(64)),
  body: (_value): _value is unknown => true,
});
