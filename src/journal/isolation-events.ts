import type { CloseReason } from '../manager/close-codes.js';

/** Whom an event is about. */
export interface EventSubject {
  readonly userId: string;
  readonly threadId: string;
  readonly connectionId: string;
  readonly isolationKey: string;
}

/** Why cleanup removed a manager: the classes of victims, in their order. */
export type RemovalCause =
  'closed' | 'unattached' | 'zombie' | 'stale' | 'idle' | 'evicted' | 'limit-lowered' | 'requested';

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

/** Every event, with what it carries. The names are those of the diagnostics channels, after `websocket-isolation:`. */
export interface IsolationEvents {
  'manager-created': { subject: EventSubject };
  'manager-closing': { subject: EventSubject; reason: CloseReason };
  'manager-disposed': { subject: EventSubject; reason: CloseReason; lifetimeMs: number };
  'manager-removed': { subject: EventSubject; cause: RemovalCause; code: number };
  'connection-opened': { subject: EventSubject; path: string };
  'connection-ready': { subject: EventSubject; path: string; connectMs: number };
  'connection-refused': {
    reason: string;
    status: number;
    code: number;
    path: string;
    userId?: string;
    error?: unknown;
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
  'critical-undelivered': { subject: EventSubject; messages: number };
  'isolation-violation': { subject: EventSubject; what: string };
  'thread-inconsistent': { threadIds: readonly string[]; sources: readonly string[] };
  'cleanup-finished': CleanupReport;
  'leak-suspected': { subject: EventSubject; cause: string; ageMs: number; site?: string };
  'drain-started': { connections: number };
  'drain-finished': { closed: number; abandoned: number; durationMs: number };
}

export type IsolationEventName = keyof IsolationEvents;
