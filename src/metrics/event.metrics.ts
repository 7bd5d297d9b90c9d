import { CloseCode, type CloseReason } from '../wire/close-codes.js';
import type { CleanupReport } from '../journal/isolation-events.js';
import type { EventMetric } from './metric.js';
import type { Labels, MetricValue } from './metric-value.js';

/** Buckets in seconds: from less than a turn of the event loop up to the time that a client waits. */
const SHORT = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Buckets in seconds: from a page that was closed at once to a tab that stays open all day. */
const LONG = [0.1, 1, 5, 15, 60, 300, 900, 1_800, 3_600, 14_400, 43_200];

/** Close codes that get a series of their own. A peer may send any code, so all others are counted together. */
const KNOWN_CODES: ReadonlySet<number> = new Set([...Object.values(CloseCode), 1005]);

/** Metrics of events whose numbers are kept nowhere else. */
export const EVENT_METRICS: readonly EventMetric[] = [
  {
    name: 'connections_opened_total',
    kind: 'counter',
    help: 'Sockets opened, by the path of their gateway.',
    labels: ['path'],
    events: { 'connection-opened': ({ path }) => one({ path }) },
  },
  {
    name: 'connections_closed_total',
    kind: 'counter',
    help: 'Sockets closed, by initiator and by close code (`other`: a code of the client’s own).',
    labels: ['path', 'initiator', 'code'],
    events: {
      'connection-closed': ({ path, reason }) =>
        one({ path, initiator: reason.initiator, code: codeLabel(reason) }),
    },
  },
  {
    name: 'connection_duration_seconds',
    kind: 'histogram',
    help: 'How long connections lived, by the initiator of the close.',
    labels: ['path', 'initiator'],
    buckets: LONG,
    events: {
      'connection-closed': ({ path, reason, connectedMs }) =>
        seconds(connectedMs, { path, initiator: reason.initiator }),
    },
  },
  {
    name: 'handshake_duration_seconds',
    kind: 'histogram',
    help: 'From the upgrade request to the open socket, or to the refusal.',
    labels: ['path', 'result'],
    buckets: SHORT,
    events: {
      'connection-opened': ({ path, handshakeMs }) =>
        seconds(handshakeMs, { path, result: 'opened' }),
      'connection-refused': ({ path, handshakeMs }) =>
        seconds(handshakeMs, { path, result: 'refused' }),
    },
  },
  {
    name: 'identity_renewals_total',
    kind: 'counter',
    help: 'Renewals of identities: `renewed`, or the reason of the refusal.',
    labels: ['result'],
    events: {
      'identity-renewed': () => one({ result: 'renewed' }),
      'renewal-refused': ({ reason }) => one({ result: reason }),
    },
  },
  {
    name: 'handler_duration_seconds',
    kind: 'histogram',
    help: 'From the start of a handler to its end, guards, pipes and interceptors included.',
    labels: ['path', 'event', 'outcome'],
    buckets: SHORT,
    events: {
      'message-handled': ({ path, event, outcome, durationMs }) =>
        seconds(durationMs, { path, event, outcome }),
    },
  },
  {
    name: 'ask_duration_seconds',
    kind: 'histogram',
    help: 'From a question to clients to its answer, or to the error that ended it.',
    labels: ['event', 'outcome'],
    buckets: LONG,
    events: {
      'ask-ended': ({ event, outcome, durationMs }) => seconds(durationMs, { event, outcome }),
    },
  },
  {
    name: 'stream_duration_seconds',
    kind: 'histogram',
    help: 'How long streams were open that handlers have returned.',
    labels: ['path', 'event', 'outcome'],
    buckets: LONG,
    events: {
      'stream-ended': ({ path, event, outcome, durationMs }) =>
        seconds(durationMs, { path, event, outcome }),
    },
  },
  {
    name: 'stream_items_total',
    kind: 'counter',
    help: 'Items that streams have sent, counted when the stream ends.',
    labels: ['path', 'event'],
    events: {
      'stream-ended': ({ path, event, items }) => ({ labels: { path, event }, value: items }),
    },
  },
  {
    name: 'ping_rtt_seconds',
    kind: 'histogram',
    help: 'Round trips of pings.',
    labels: [],
    buckets: SHORT,
    events: { 'ping-answered': ({ roundTripMs }) => seconds(roundTripMs) },
  },
  {
    name: 'slow_consumers_total',
    kind: 'counter',
    help: 'Clients closed because they read too slowly.',
    labels: [],
    events: { 'slow-consumer': () => one() },
  },
  {
    name: 'critical_undelivered_total',
    kind: 'counter',
    help: 'Critical messages that could not be sent before their connection ended.',
    labels: [],
    events: { 'critical-undelivered': ({ messages }) => ({ labels: {}, value: messages }) },
  },
  {
    name: 'resume_gaps_total',
    kind: 'counter',
    help: 'Clients that came back and may have missed events.',
    labels: [],
    events: { 'resume-gap': () => one() },
  },
  {
    name: 'delivery_failures_total',
    kind: 'counter',
    help: 'Times the cluster did not take a message for other nodes (send), or the history of a thread could not be read (resume).',
    labels: ['operation'],
    events: {
      'resume-failed': () => one({ operation: 'resume' }),
      'delivery-failed': () => one({ operation: 'send' }),
    },
  },
  {
    name: 'managers_removed_total',
    kind: 'counter',
    help: 'Managers that clean-up removed, by cause.',
    labels: ['cause'],
    events: { 'manager-removed': ({ cause }) => one({ cause }) },
  },
  {
    name: 'disposal_duration_seconds',
    kind: 'histogram',
    help: 'From the beginning of closing until everything of a connection was gone.',
    labels: [],
    buckets: SHORT,
    events: { 'manager-disposed': ({ disposalMs }) => seconds(disposalMs) },
  },
  {
    name: 'disposal_faults_total',
    kind: 'counter',
    help: 'Disposers that threw, or did not end in time.',
    labels: ['outcome'],
    events: { 'disposal-fault': ({ outcome }) => one({ outcome }) },
  },
  {
    name: 'cleanup_runs_total',
    kind: 'counter',
    help: 'Clean-ups, by kind and by whether they ended in time.',
    labels: ['kind', 'result'],
    events: {
      'cleanup-finished': ({ kind, timedOut }) =>
        one({ kind, result: timedOut ? 'timeout' : 'ok' }),
    },
  },
  {
    name: 'cleanup_items_total',
    kind: 'counter',
    help: 'Managers that clean-ups removed.',
    labels: ['kind'],
    events: {
      'cleanup-finished': ({ kind, removed }) => ({ labels: { kind }, value: removed }),
    },
  },
  {
    name: 'cleanup_abandoned_total',
    kind: 'counter',
    help: 'Removed managers that were not fully disposed of before the deadline of the clean-up.',
    labels: ['kind'],
    events: { 'cleanup-finished': abandoned },
  },
  {
    name: 'cleanup_duration_seconds',
    kind: 'histogram',
    help: 'How long clean-ups took.',
    labels: ['kind'],
    buckets: SHORT,
    events: { 'cleanup-finished': ({ kind, durationMs }) => seconds(durationMs, { kind }) },
  },
  {
    name: 'drain_duration_seconds',
    kind: 'histogram',
    help: 'How long the drain of the process took.',
    labels: [],
    buckets: SHORT,
    events: { 'drain-finished': ({ durationMs }) => seconds(durationMs) },
  },
];

function abandoned({ kind, abandoned: { length } }: CleanupReport): MetricValue {
  return { labels: { kind }, value: length };
}

function one(labels: Labels = {}): MetricValue {
  return { labels, value: 1 };
}

function seconds(ms: number, labels: Labels = {}): MetricValue {
  return { labels, value: ms / 1000 };
}

function codeLabel({ code }: CloseReason): string {
  return KNOWN_CODES.has(code) ? String(code) : 'other';
}
