import { ADDRESS_CLASSES } from '../address/ip-address.js';
import { REFUSAL_REASONS } from '../handshake/refusal.js';
import { LEAK_CAUSES } from '../monitoring/leak.detector.js';
import { buildInfo } from './build-info.js';
import type { StateMetric } from './metric.js';
import { counter, gauge, samplesOf } from './read-metric.js';
import { TOPIC_METRICS } from './topic.metrics.js';

/** Metrics that are read from the live state, so that no number is kept twice. */
export const STATE_METRICS: readonly StateMetric[] = [
  gauge(
    'build_info',
    'Versions and HTTP platform of this process; the value is always 1.',
    ({ httpPlatform }) => [{ labels: buildInfo(httpPlatform), value: 1 }],
    ['version', 'nest_version', 'node_version', 'adapter'],
  ),
  gauge(
    'connections_active',
    'Connections that exist, by the path of their gateway and by their state.',
    ({ fleet }) => fleet.connections,
    ['path', 'state'],
  ),
  gauge('handshakes_pending', 'Handshakes under way.', ({ handshake }) => handshake.pending),
  counter(
    'connections_refused_total',
    'Handshakes refused, by the path of their gateway and by reason.',
    ({ runtime }) =>
      runtime.paths.flatMap((path) =>
        REFUSAL_REASONS.map((reason) => ({
          labels: { path, reason },
          value: runtime.refused.byPath.get(path)?.get(reason) ?? 0,
        })),
      ),
    ['path', 'reason'],
  ),
  counter(
    'connections_refused_by_address_total',
    'Handshakes refused, by the class of the client’s address.',
    ({ runtime }) =>
      ADDRESS_CLASSES.map((kind) => ({
        labels: { class: kind },
        value: runtime.refused.byAddressClass.get(kind) ?? 0,
      })),
    ['class'],
  ),
  counter(
    'forwarded_headers_doubted_total',
    'Headers of proxies that were not, or not wholly, believed.',
    ({ addresses }) => samplesOf(addresses.faults, 'fault'),
    ['fault'],
  ),
  gauge(
    'admission_addresses',
    'Client addresses that are remembered for their limits.',
    ({ handshake }) => handshake.addresses,
  ),
  gauge('managers_active', 'Managers that exist.', ({ registry }) => registry.size),
  gauge(
    'managers_pinned',
    'Managers with work in progress.',
    ({ registry }) => registry.pinned.size,
  ),
  gauge(
    'managers_limit',
    'How many managers one user, and this process, may hold.',
    ({ limits }) => [
      { labels: { scope: 'user' }, value: limits.maxManagersPerUser },
      { labels: { scope: 'process' }, value: limits.maxManagers },
    ],
    ['scope'],
  ),
  counter(
    'managers_created_total',
    'Managers ever made.',
    ({ registry }) => registry.ledger.created,
  ),
  counter(
    'managers_disposed_total',
    'Managers disposed of, with everything that belonged to them.',
    ({ registry }) => registry.ledger.disposed,
  ),
  gauge(
    'manager_ledger_imbalance',
    'Created less active less disposed. Anything but 0 is a leak.',
    ({ registry: { ledger } }) => ledger.created - ledger.active - ledger.disposed,
  ),
  gauge('users_active', 'Users with at least one manager.', ({ registry }) => registry.userCount),
  gauge(
    'users_crowded',
    'Users at or above `limits.proactiveThreshold`, by their managers on this process alone.',
    ({ fleet }) => fleet.usersCrowded,
  ),
  gauge(
    'users_at_limit',
    'Users that hold as many managers as they may, by their managers on this process alone.',
    ({ fleet }) => fleet.usersAtLimit,
  ),
  counter(
    'violations_total',
    "Contexts or sockets used for another user's connection.",
    ({ factory }) => factory.counters.securityViolations,
  ),
  gauge(
    'cleanup_lag_seconds',
    'For how long the most overdue manager has been waiting to be removed.',
    ({ cleanup }) => cleanup.lagMs / 1000,
  ),
  gauge(
    'leak_suspects',
    'Suspected leaks: not disposed in time, abandoned and not ended, or disposed and still kept or in memory.',
    ({ leaks }) => {
      const { suspects } = leaks.getReport();
      return LEAK_CAUSES.map((cause) => ({
        labels: { cause },
        // The report lists only some of the abandoned steps.
        value:
          cause === 'abandoned'
            ? leaks.abandoned
            : suspects.filter((suspect) => suspect.cause === cause).length,
      }));
    },
    ['cause'],
  ),
  gauge(
    'thread_consistency_ratio',
    'Snapshots in which all thread ids agreed, of all snapshots.',
    ({ tracker }) => tracker.score() / 100,
  ),
  counter('messages_received_total', 'Messages that came in.', ({ traffic }) => traffic.received),
  counter(
    'received_bytes_total',
    'Bytes of the messages that came in.',
    ({ traffic }) => traffic.receivedBytes,
  ),
  counter(
    'messages_dropped_total',
    'Messages that were not handled, by reason.',
    ({ traffic }) => samplesOf(traffic.ignored, 'reason'),
    ['reason'],
  ),
  gauge(
    'handlers_in_flight',
    'Handlers that run at this moment.',
    ({ traffic }) => traffic.inFlight,
  ),
  counter(
    'handler_failures_total',
    'Messages whose handler, guard or pipe refused them (client: a WsException, an HttpException of 4xx) or failed (server).',
    ({ traffic }) => samplesOf(traffic.failures, 'fault'),
    ['fault'],
  ),
  counter(
    'messages_sent_total',
    'Messages handed to the operating system or queued for it.',
    ({ fleet }) => fleet.sent,
  ),
  counter(
    'messages_unsent_total',
    'Messages that could not be sent, by reason.',
    ({ factory }) => samplesOf(factory.bookkeeping.unsent, 'reason'),
    ['reason'],
  ),
  counter(
    'sent_bytes_total',
    'Bytes of the messages that were sent.',
    ({ factory }) => factory.bookkeeping.sentBytes,
  ),
  gauge(
    'send_queue_bytes',
    'Bytes that wait for slow readers.',
    ({ fleet }) => fleet.bufferedBytes,
  ),
  gauge(
    'send_queue_largest_bytes',
    'Most bytes that wait for one slow reader.',
    ({ fleet }) => fleet.mostBufferedBytes,
  ),
  gauge(
    'asks_open',
    'Questions to clients that have no answer yet.',
    ({ factory }) => factory.bookkeeping.asks.size,
  ),
  counter(
    'ask_answers_ignored_total',
    'Answers of clients to no open question: unknown, late, or of another connection.',
    ({ factory }) => factory.bookkeeping.asks.ignored,
  ),
  gauge(
    'streams_open',
    'Streams and observables that handlers have returned, and that are open.',
    ({ fleet }) => fleet.openStreams,
  ),
  gauge(
    'latest_waiting',
    'Messages with the policy `latest` that wait for slow readers.',
    ({ factory }) => factory.bookkeeping.latest.size,
  ),
  ...TOPIC_METRICS,
  gauge('draining', '1 while the process is going away.', ({ handshake }) =>
    Number(handshake.isDraining),
  ),
];
