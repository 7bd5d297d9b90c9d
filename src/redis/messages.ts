import type {
  ClusterTarget,
  ConnectionInfo,
  DeliveryTarget,
  Revocation,
} from '../cluster/cluster-delivery.js';
import { parsePosition } from '../history/position.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import type { FramePolicy } from '../wire/send-policy.js';
import type { PresenceChange } from '../cluster/cluster-topics.js';
import type { Excepted } from '../history/event-history.js';
import type { HistoryKey } from '../history/history-key.js';
import {
  type Check,
  count,
  either,
  isFinite,
  isFlag,
  isMissing,
  isNothing,
  list,
  optional,
  record,
  text,
} from './checks.js';
import {
  areExcepted,
  isBase64,
  isConnection,
  isDeliveryTarget,
  isFramePolicy,
  isFrameText,
  isGoodbye,
  isHash,
  isId,
  isNodeId,
  isReport,
  isTarget,
  isThread,
  isTopic,
  isTopicName,
  MOST_CONNECTIONS,
} from './message-shapes.js';

/** A kind of message between nodes: its name, and the shapes of its body and of the answer. */
export interface Topic<Body, Answer> {
  readonly name: string;
  readonly isBody: Check<Body>;
  readonly isAnswer: Check<Answer>;
}

/** A frame for connections. A node that does not know the policy queues the frame. */
export interface DeliveryBody {
  readonly target: DeliveryTarget;
  readonly frame: string;
  readonly policy?: FramePolicy | undefined;
}

/** Hands a frame to connections. */
export const DELIVER: Topic<DeliveryBody, DeliveryReport> = {
  name: 'deliver',
  isBody: record<DeliveryBody>({
    target: isDeliveryTarget,
    frame: isFrameText,
    policy: optional(isFramePolicy),
  }),
  isAnswer: isReport,
};

/** Bytes for connections, in base64. */
export interface BytesBody {
  readonly target: DeliveryTarget;
  readonly bytes: string;
  readonly policy?: FramePolicy | undefined;
}

/** Hands bytes to connections, as a binary frame. */
export const DELIVER_BYTES: Topic<BytesBody, DeliveryReport> = {
  name: 'deliver-bytes',
  isBody: record<BytesBody>({
    target: isDeliveryTarget,
    bytes: isBase64,
    policy: optional(isFramePolicy),
  }),
  isAnswer: isReport,
};

/** What connections lose, and which. `at` is the last field: Redis fills it in. */
export type SentRevocation = Revocation & {
  readonly target: ClusterTarget;
  readonly id?: string | undefined;
  /** A time of Redis: connections made later keep it. If it is missing, all connections lose it. */
  readonly at?: number | undefined;
};

const ANY_REVOCATION = { target: isTarget, id: optional(text(64)), at: optional(count()) };

// Not both: a node that does not know of topics would close the connection.
export const isRevocation: Check<SentRevocation> = either(
  record({ ...ANY_REVOCATION, goodbye: isGoodbye, topic: isMissing }),
  record({ ...ANY_REVOCATION, topic: isTopicName, goodbye: isMissing }),
);

/** Closes connections, or takes them out of a topic. The answer is the number of connections. */
export const REVOKE: Topic<SentRevocation, number> = {
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
