import type { IsolationEventName } from './isolation-events.js';

/** The level at which an event is logged; `'never'` for an event that is too frequent. */
export type EventLevel = 'debug' | 'log' | 'warn' | 'error' | 'never';

// An operator reads `log` and above: what cleanup removed, which connections were refused, what failed. The start and
// the end of every connection are `debug`.
export const EVENT_LEVELS: Readonly<Record<IsolationEventName, EventLevel>> = {
  'manager-created': 'debug',
  'manager-closing': 'debug',
  'manager-disposed': 'debug',
  'manager-removed': 'log',
  'connection-opened': 'debug',
  'connection-ready': 'debug',
  'connection-closed': 'debug',
  'connection-refused': 'warn',
  'trust-proxy-failed': 'warn',
  'message-handled': 'never',
  // As frequent as messages.
  'ask-ended': 'never',
  'stream-ended': 'never',
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
  'topic-removal-unconfirmed': 'warn',
  // As frequent as messages of clients, and a refusal is easy for a client to cause.
  'topic-joined': 'never',
  'topic-left': 'never',
  'topic-refused': 'debug',
  'identity-renewed': 'debug',
  'renewal-refused': 'warn',
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
