import type { ClusterStatus } from '../cluster/cluster-status.js';
import type { RedisNode } from './redis-node.js';

/** Reads the status of a node at this instant. */
export function statusOf(node: RedisNode): ClusterStatus {
  const { state, since, failures, lastError } = node.availability;
  const { held, unleased } = node.table.count();
  return {
    state,
    since,
    nodeId: node.nodeId,
    nodes: node.membership.nodes,
    leases: { held, unleased },
    counters: {
      failures: { ...failures },
      ...node.reconciliation.counters,
      unreadable: node.unreadable.count,
    },
    renewedAt: node.renewal.renewedAt,
    ...(lastError !== undefined && { lastError }),
  };
}
