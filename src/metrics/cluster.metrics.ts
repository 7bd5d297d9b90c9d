import { CLUSTER_FAILURES, type ClusterStatus } from '../cluster/cluster-status.js';
import type { ClusterState } from '../journal/isolation-events.js';
import type { MetricSources } from './metric-sources.js';
import type { StateMetric } from './metric.js';

const STATES: readonly ClusterState[] = ['joining', 'up', 'local', 'open', 'closed', 'left'];

function status({ cluster }: MetricSources): ClusterStatus {
  return cluster!.status();
}

/** Metrics of a cluster; exposed where there is one. */
export const CLUSTER_METRICS: readonly StateMetric[] = [
  {
    name: 'cluster_state',
    kind: 'gauge',
    help: 'Which limit is in force: 1 for the state this process is in, 0 for the others.',
    labels: ['state'],
    read: (sources) => {
      const { state: current } = status(sources);
      return STATES.map((state) => ({ labels: { state }, value: Number(state === current) }));
    },
  },
  {
    name: 'cluster_nodes',
    kind: 'gauge',
    help: 'Nodes of the cluster that this process knows.',
    labels: ['state'],
    read: (sources) => {
      const { nodes } = status(sources);
      const draining = nodes.filter(({ isDraining }) => isDraining).length;
      return [
        { labels: { state: 'up' }, value: nodes.length - draining },
        { labels: { state: 'draining' }, value: draining },
      ];
    },
  },
  {
    name: 'cluster_leases',
    kind: 'gauge',
    help: 'Slots of this process: with a cluster lease (held), or without one while the cluster was away (unleased).',
    labels: ['kind'],
    read: (sources) => {
      const { held, unleased } = status(sources).leases;
      return [
        { labels: { kind: 'held' }, value: held },
        { labels: { kind: 'unleased' }, value: unleased },
      ];
    },
  },
  {
    name: 'cluster_failures_total',
    kind: 'counter',
    help: 'Commands to the cluster that failed or were not answered in time, by reason.',
    labels: ['reason'],
    read: (sources) => {
      const { failures } = status(sources).counters;
      return CLUSTER_FAILURES.map((reason) => ({ labels: { reason }, value: failures[reason] }));
    },
  },
  {
    name: 'cluster_leases_lost_total',
    kind: 'counter',
    help: 'Slots lost to other connections: because the lease was not renewed (lease-lost), or to a newer connection (evicted).',
    labels: ['cause'],
    read: (sources) => {
      const { lost, evicted } = status(sources).counters;
      return [
        { labels: { cause: 'lease-lost' }, value: lost },
        { labels: { cause: 'evicted' }, value: evicted },
      ];
    },
  },
  {
    name: 'cluster_leases_restored_total',
    kind: 'counter',
    help: 'Slots put back after the cluster had lost them.',
    labels: [],
    read: (sources) => status(sources).counters.restored,
  },
  {
    name: 'cluster_unreadable_total',
    kind: 'counter',
    help: 'Data from other nodes or from Redis that could not be read and was ignored.',
    labels: [],
    read: (sources) => status(sources).counters.unreadable,
  },
  {
    name: 'cluster_renewal_age_seconds',
    kind: 'gauge',
    help: 'Seconds since the leases of this process were last renewed; 0 before the first renewal.',
    labels: [],
    read: (sources) => {
      const { renewedAt } = status(sources);
      return renewedAt === 0 ? 0 : Math.max(0, sources.epoch() - renewedAt) / 1000;
    },
  },
];
