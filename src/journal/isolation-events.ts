import type { CloseReason } from '../wire/close-codes.js';

/** The connection that an event is about. */
export interface EventSubject {
  readonly userId: string;
  readonly threadId: string;
  readonly connectionId: string;
  readonly isolationKey: string;
}

/** Why cleanup removed a manager, in the order in which managers are chosen. */
export type RemovalCause =
  | 'closed'
  | 'unattached'
  | 'zombie'
  | 'stale'
  | 'idle'
  | 'evicted'
  | 'limit-lowered'
  | 'lease-lost';

/**
 * Which limit is in force. `up`: that of the cluster; `local`: the limit per user, on this process alone; `open`: only
 * the limit of the process; `closed`: no arrival is admitted; `joining` and `left`: before and after the membership,
 * with the same limit as `local`.
 */
export type ClusterState = 'joining' | 'up' | 'local' | 'open' | 'closed' | 'left';

/** The result of one cleanup. */
export interface CleanupReport {
  readonly kind: 'proactive' | 'emergency' | 'expired';
  /** Managers whose slot was given back. */
  readonly removed: number;
  /** Managers removed, but not fully disposed when the deadline came. */
  readonly abandoned: readonly string[];
  readonly durationMs: number;
  readonly timedOut: boolean;
}

/**
 * Why a connection is no longer in a topic: code of the server let it leave, the client unsubscribed, the connection
 * closed, the grant of the authorizer expired, an operator removed it, or the authorizer refused it after the identity
 * was renewed.
 */
export type TopicLeaveCause =
  'left' | 'unsubscribed' | 'closed' | 'expired' | 'removed' | 'forbidden';

/**
 * Why a renewal of an identity was refused: as a handshake is refused, or because an earlier renewal of the connection
 * has no answer yet (`pending`).
 */
export type RenewalRefusal =
  'unauthorized' | 'forbidden' | 'auth-failed' | 'timeout' | 'invalid-context' | 'pending';

/** The codes with which subscriptions to topics are refused. */
export type TopicRefusal = 'TOPIC_FORBIDDEN' | 'TOPIC_LIMIT' | 'INVALID_TOPIC' | 'INTERNAL_ERROR';

/** How a message ended: `ok` with an answer or none, `failed` with an error of a guard, a pipe or the handler. */
export type HandlerOutcome = 'ok' | 'failed';

/**
 * How a question to clients ended: with an answer, with the error of a client, at its deadline, by the signal of its
 * caller, or because no connection could answer.
 */
export type AskOutcome = 'answered' | 'rejected' | 'timeout' | 'aborted' | 'unreachable';

/**
 * How a stream ended: its source ended, its source or an item failed, its client cancelled it, or its connection
 * closed.
 */
export type StreamOutcome = 'completed' | 'failed' | 'cancelled' | 'closed';

/**
 * Every event with its details. The names are those of the diagnostics channels, without the prefix
 * `websocket-isolation:`. Durations are in milliseconds.
 */
export interface IsolationEvents {
  'manager-created': { subject: EventSubject };
  'manager-closing': { subject: EventSubject; reason: CloseReason };
  'manager-disposed': {
    subject: EventSubject;
    reason: CloseReason;
    /** Since the manager was made. */
    lifetimeMs: number;
    /** Since closing began. */
    disposalMs: number;
  };
  'manager-removed': { subject: EventSubject; cause: RemovalCause; code: number };
  'connection-opened': { subject: EventSubject; path: string; handshakeMs: number };
  'connection-ready': { subject: EventSubject; path: string; connectMs: number };
  'connection-closed': {
    subject: EventSubject;
    path: string;
    reason: CloseReason;
    /** Since the slot was taken. */
    connectedMs: number;
  };
  'connection-refused': {
    reason: string;
    status: number;
    code: number;
    path: string;
    handshakeMs: number;
    /** Of the client, as `handshake.logAddresses` shows it. */
    address?: string;
    userId?: string;
    error?: unknown;
  };
  /** The function `handshake.trustProxy` of the app has failed; the proxy was not trusted. */
  'trust-proxy-failed': { error: unknown };
  'message-handled': {
    subject: EventSubject;
    path: string;
    event: string;
    outcome: HandlerOutcome;
    durationMs: number;
  };
  /** A question to clients has ended. `threadId` and `connectionId` only where it was for one of them. */
  'ask-ended': {
    userId: string;
    threadId?: string | undefined;
    connectionId?: string | undefined;
    event: string;
    outcome: AskOutcome;
    durationMs: number;
  };
  /** What a handler has returned as a stream or an observable has ended. */
  'stream-ended': {
    subject: EventSubject;
    path: string;
    event: string;
    outcome: StreamOutcome;
    items: number;
    durationMs: number;
  };
  'message-dropped': { subject: EventSubject; reason: string };
  'thread-mismatch': { subject: EventSubject; claimedThreadId: string; action: string };
  'handler-failed': { subject: EventSubject; event: string; error: unknown };
  'hook-failed': { subject: EventSubject; hook: string; error: unknown };
  'disposal-fault': {
    subject: EventSubject;
    outcome: 'failed' | 'abandoned';
    error?: unknown;
  };
  'slow-consumer': { subject: EventSubject; bufferedBytes: number };
  'ping-answered': { subject: EventSubject; roundTripMs: number };
  'critical-undelivered': { subject: EventSubject; messages: number };
  /** A client has resumed, and events that it missed may be lost. */
  'resume-gap': { subject: EventSubject };
  'resume-failed': { subject: EventSubject; error: unknown };
  /** A message for other nodes could not be sent, because the cluster did not take it. */
  'delivery-failed': { error: unknown };
  /**
   * Connections were to end on all nodes, and these nodes have not confirmed it. Where `isRecorded` is true, they end
   * them before they handle another message of them; otherwise when this process reaches the cluster again.
   */
  'disconnect-unconfirmed': {
    userId?: string;
    threadId?: string | undefined;
    connectionId?: string;
    unconfirmed: readonly string[];
    isRecorded: boolean;
  };
  /** The same of connections that were to leave a topic. */
  'topic-removal-unconfirmed': {
    userId?: string;
    threadId?: string | undefined;
    connectionId?: string;
    topic: string;
    unconfirmed: readonly string[];
    isRecorded: boolean;
  };
  'topic-joined': { subject: EventSubject; topic: string };
  'topic-left': { subject: EventSubject; topic: string; cause: TopicLeaveCause };
  /** A client was refused a topic. A text that cannot name a topic is left out. */
  'topic-refused': { subject: EventSubject; topic?: string; code: TopicRefusal };
  /** A client has renewed its identity. `expiresAt` is in epoch milliseconds. */
  'identity-renewed': { subject: EventSubject; expiresAt?: number; durationMs: number };
  /** A renewal was refused; `code` is the close code, where the connection closes for it. */
  'renewal-refused': {
    subject: EventSubject;
    reason: RenewalRefusal;
    status: number;
    code?: number;
    error?: unknown;
  };
  'isolation-violation': { subject: EventSubject; what: string };
  'thread-inconsistent': { threadIds: readonly string[]; sources: readonly string[] };
  'cleanup-finished': CleanupReport;
  'leak-suspected': { subject: EventSubject; cause: string; ageMs: number; site?: string };
  'cluster-joined': { nodeId: string; nodes: number };
  /** The cluster is away; `state` names the limit that is in force now. */
  'cluster-degraded': { state: ClusterState; cause: string };
  'cluster-recovered': { downMs: number; leases: number };
  /** The cluster works, but an operator should correct something about it. */
  'cluster-warning': { what: string };
  'cluster-left': { nodeId: string };
  'drain-started': { connections: number };
  'drain-finished': { closed: number; abandoned: number; durationMs: number };
  /** An operator acted by hand: who, from which address, on what, and on how many connections. */
  'operator-action': {
    who: string;
    from: string;
    action: string;
    target?: string;
    /** From which the target was removed. */
    topic?: string;
    count: number;
  };
}

export type IsolationEventName = keyof IsolationEvents;
