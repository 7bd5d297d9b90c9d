import { isSendableCode } from '../wire/close-codes.js';
import type { ClusterTarget, ConnectionInfo, Goodbye } from '../cluster/cluster-delivery.js';
import { parsePosition } from '../history/position.js';
import type { DeliveryReport } from '../wire/delivery-result.js';
import type { ThreadKey } from '../history/thread-history.js';
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

/** What a node may send another: its name, and the shapes of it and of its answer. */
export interface Topic<Body, Answer> {
  readonly name: string;
  readonly isBody: Check<Body>;
  readonly isAnswer: Check<Answer>;
}

/** More than any frame: what a node keeps for Redis at most. */
const LONGEST_FRAME = 16 * 1_048_576;
/** More than any user has. */
const MOST_CONNECTIONS = 10_000;

const isId = text();
const isHash: Check<string> = (value): value is string =>
  typeof value === 'string' && /^[0-9a-f]{32}$/.test(value);

/** A node's id: it becomes part of a channel's name, and a key of reports. */
export const isNodeId: Check<string> = (value): value is string =>
  typeof value === 'string' && /^[0-9A-Za-z-]{1,64}$/.test(value);

/** The frame of an event, as far as that can be told without reading all of it. */
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

/** Hand a frame to connections. */
export const DELIVER: Topic<{ target: ClusterTarget; frame: string }, DeliveryReport> = {
  name: 'deliver',
  isBody: record({ target: isTarget, frame: isFrameText }),
  isAnswer: isReport,
};

/** Connections that are to end. `at` stands last: Redis fills it in. */
export interface Revocation {
  readonly target: ClusterTarget;
  readonly goodbye: Goodbye;
  readonly id?: string | undefined;
  /** By the clock of Redis: connections made later are not meant. Where it is missing, all are. */
  readonly at?: number | undefined;
}

export const isRevocation: Check<Revocation> = record<Revocation>({
  target: isTarget,
  goodbye: isGoodbye,
  id: optional(text(64)),
  at: optional(count()),
});

/** End connections. Answered with how many there were. */
export const DISCONNECT: Topic<Revocation, number> = {
  name: 'disconnect',
  isBody: isRevocation,
  isAnswer: count(),
};

/** Which connections has a user there? */
export const CONNECTIONS: Topic<{ target: { userId: string } }, readonly ConnectionInfo[]> = {
  name: 'connections',
  isBody: record({ target: record({ userId: isId }) }),
  isAnswer: list(isConnection, MOST_CONNECTIONS),
};

/** An event on its way between nodes. `position` stands last: Redis fills it in. */
export interface EventBody {
  readonly thread: ThreadKey;
  readonly frame: string;
  readonly isCritical: boolean;
  readonly onlyFor?: string | undefined;
  readonly position: string;
}

/** An event of a thread has its place. */
export const EVENT: Topic<EventBody, DeliveryReport> = {
  name: 'event',
  isBody: record<EventBody>({
    thread: isThread,
    frame: isFrameText,
    isCritical: isFlag,
    onlyFor: optional(isId),
    position: (value): value is string =>
      typeof value === 'string' && parsePosition(value) !== undefined,
  }),
  isAnswer: isReport,
};

/** Events of a thread were lost before they got into Redis. */
export const DOUBT: Topic<{ thread: ThreadKey }, null> = {
  name: 'doubt',
  isBody: record({ thread: isThread }),
  isAnswer: isNothing,
};

/** A user, by the hash of the id. */
export interface HashedUser {
  readonly hash: string;
}

/** A connection that could make room for another one, as the registry of leases names it. */
export interface IdleMember {
  readonly member: string;
  /** Milliseconds without traffic when the question came; negative where there was some since. */
  readonly idleMs: number;
}

/** What of this user is dead, and what could make room? */
export const RESCUE: Topic<HashedUser, readonly IdleMember[]> = {
  name: 'rescue',
  isBody: record<HashedUser>({ hash: isHash }),
  isAnswer: list(record<IdleMember>({ member: text(512), idleMs: isFinite }), MOST_CONNECTIONS),
};

/** A hint: look at what this user holds there, something had to make room. */
export const RENEW: Topic<HashedUser, null> = {
  name: 'renew',
  isBody: record<HashedUser>({ hash: isHash }),
  isAnswer: isNothing,
};

/** What everything between nodes is wrapped in. */
export interface Envelope {
  readonly from: string;
  readonly topic: string;
  /** Of a question, and of its answer. */
  readonly id?: string | undefined;
  readonly body: unknown;
}

export const isEnvelope: Check<Envelope> = record<Envelope>({
  from: isNodeId,
  topic: text(64),
  id: optional(text(64)),
  body: (_value): _value is unknown => true,
});
