import type { StateMetric } from './metric.js';
import { counter, gauge, samplesOf } from './read-metric.js';

/** Metrics of topics, read from the live state. */
export const TOPIC_METRICS: readonly StateMetric[] = [
  gauge('topics_active', 'Topics that connections are in.', ({ topics }) => topics.size),
  gauge(
    'topic_memberships',
    'Memberships of connections in topics.',
    ({ topics }) => topics.memberships,
  ),
  gauge(
    'topic_subscriptions_pending',
    'Subscriptions of clients that wait for the authorizer.',
    ({ subscriptions }) => subscriptions.pending,
  ),
  counter(
    'topic_subscriptions_refused_total',
    'Subscriptions of clients that were refused, by the code of the reply.',
    ({ subscriptions }) => samplesOf(subscriptions.refusals, 'code'),
    ['code'],
  ),
  gauge(
    'topic_histories',
    'Topics whose events this process keeps; 0 where Redis keeps them.',
    ({ topics }) => topics.histories?.history.size ?? 0,
  ),
  gauge(
    'topic_history_bytes',
    'Bytes of the events of topics that this process keeps; 0 where Redis keeps them.',
    ({ topics }) => topics.histories?.history.bytes ?? 0,
  ),
];
