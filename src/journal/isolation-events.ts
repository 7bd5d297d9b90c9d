import type { CloseReason } from '../wire/close-codes.js';

/** Whom an event is about. */
export interface EventSubject {
  readonly userId: string;
  readonly threadId: string;
  readonly connectionId: string;
  readonly isolationKey: string;
}

/** Why cleanup removed a manager: the classes of victims, in their order. */
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
 * Which limit is in force: `up`, the cluster's; `local`, this process's own per user; `open`, only the
 * process's; `closed`, nobody gets in; `joining` and `left`, before and after (as `local` is).
 */
export type ClusterState = 'joining' | 'up' | 'local' | 'open' | 'closed' | 'left';

/** What a cleanup did. */
export interface CleanupReport {
  readonly kind: 'proactive' | 'emergency' | 'expired';
  /** Managers whose slot was given back. */
  readonly removed: number;
  /** Managers removed, but not fully disposed when the deadline came. */
  readonly abandoned: readonly string[];
  readonly durationMs: number;
  readonly timedOut: boolean;
}

/** How a message ended: with an answer or none, or with an error (of a guard, a pipe or the handler). */
export type HandlerOutcome = 'ok' | 'failed';

/**
 * Every event, with what it carries. The names are those of the diagnostics channels, after
 * `websocket-isolation:`. Durations are in milliseconds.
 */
export interface IsolationEvents {
  'manager-created': { subject: EventSubject };
  'manager-closing': { subject: EventSubject; reason: CloseReason };
  'manager-disposed': {
    subject: EventSubject;
    reason: CloseReason;
    /** Since it was made. */
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
    /** Since its slot was taken. */
    connectedMs: number;
  };
  'connection-refused': {
    reason: string;
    status: number;
    code: number;
    path: string;
    handshakeMs: number;
    userId?: string;
    error?: unknown;
  };
  'message-handled': {
    subject: EventSubject;
    path: string;
    event: string;
    outcome: HandlerOutcome;
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
  /** A client came back to find that events may have passed it by. */
  'resume-gap': { subject: EventSubject };
  'resume-failed': { subject: EventSubject; error: unknown };
  /** A message for other nodes could not be sent: the cluster does not take it. */
  'delivery-failed': { error: unknown };
  /**
   * Connections were to end on all nodes, and these have not confirmed it. `isRecorded`: they do so before
   * they handle another message of them; otherwise when this process reaches the cluster again.
   */
  'disconnect-unconfirmed': {
    userId?: string;
    threadId?: string | undefined;
    connectionId?: string;
    unconfirmed: readonly string[];
    isRecorded: boolean;
  };
  'isolation-violation': { subject: EventSubject; what: string };
  'thread-inconsistent': { threadIds: readonly string[]; sources: readonly string[] };
  'cleanup-finished': CleanupReport;
  'leak-suspected': { subject: EventSubject; cause: string; ageMs: number; site?: string };
  'cluster-joined': { nodeId: string; nodes: number };
  /** The cluster does not answer; `state` says which limit is in force now. */
  'cluster-degraded': { state: ClusterState; cause: string };
  'cluster-recovered': { downMs: number; leases: number };
  /** The cluster works, but something about it should be mended. */
  'cluster-warning': { what: string };
  'cluster-left': { nodeId: string };
  'drain-started': { connections: number };
  'drain-finished': { closed: number; abandoned: number; durationMs: number };
  /** Somebody did something by hand: who, from which address, what, to whom, to how many. */
  'operator-action': { who: string; from: string; action: string; target?: string; count: number };
}

export type IsolationEventName = keyof IsolationEvents;

/** At which level an event is logged; `'never'` for what comes too often. */
export type EventLevel = 'debug' | 'log' | 'warn' | 'error' | 'never';

// An operator reads `log` and above: what cleanup took, who was refused, what broke. The coming and
// going of every connection is `debug`.
export const EVENT_LEVELS: Readonly<Record<IsolationEventName, EventLevel>> = {
  'manager-created': 'debug',
  'manager-closing': 'debug',
  'manager-disposed': 'debug',
  'manager-removed': 'log',
  'connection-opened': 'debug',
  'connection-ready': 'debug',
  'connection-closed': 'debug',
  'connection-refused': 'warn',
  'message-handled': 'never',
  'message-dropped': 'debug',
  'thread-mismatch': 'warn',
  'handler-failed': 'error',
  'hook-failed': 'error',
  'disposal-fault': 'error',
  'slow-consumer': 'warn',
  'ping-answered': 'never',
  'critical-undelivered': 'warn',
  'resume-gap': 'warn',
  'resume-failed': 'warn',
  'delivery-failed': 'warn',
  'disconnect-unconfirmed': 'warn',
  'isolation-violation': 'error',
  'thread-inconsistent': 'warn',
  'cleanup-finished': 'debug',
  'leak-suspected': 'warn',
  'cluster-joined': 'log',
  'cluster-degraded': 'warn',
  'cluster-recovered': 'log',
  'cluster-warning': 'warn',
  'cluster-left': 'log',
  'drain-started': 'log',
  'drain-finished': 'log',
  'operator-action': 'log',
};

/** The names of all events. */
export const ISOLATION_EVENT_NAMES: readonly IsolationEventName[] = Object.freeze(
  Object.keys(EVENT_LEVELS) as IsolationEventName[],
);
