import type { RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { TestClient, UpgradeRefused } from 'nestjs-websocket-isolation/testing';

import type { NodeConfig, NodeMethods } from '../cluster/cluster-node.process.js';
import { NodeProcess } from './node-process.js';

const NODE = new URL('../cluster/cluster-node.process.ts', import.meta.url);

/** A short lease, so that tests need not wait half a minute. The timeouts of commands are long, for busy machines. */
export const SHORT_LEASE = {
  leaseMs: 1_500,
  renewMs: 400,
  heartbeatMs: 300,
  acquireTimeoutMs: 5_000,
  commandTimeoutMs: 5_000,
} satisfies RedisClusterOptions;

/** A process of a cluster, with a gateway at `/chat` that replies to `echo`. */
export class ClusterNode extends NodeProcess<NodeMethods> {
  port = 0;

  static async start(
    url: string,
    cluster: RedisClusterOptions = {},
    others: Omit<NodeConfig, 'cluster'> = {},
  ): Promise<ClusterNode> {
    const config: NodeConfig = { ...others, cluster: { ...SHORT_LEASE, url, ...cluster } };
    const node = new ClusterNode(NODE, config);
    node.port = await node.call('port');
    return node;
  }

  connectMany(userId: string, count: number): Promise<TestClient[]> {
    return Promise.all(Array.from({ length: count }, () => this.connect(userId)));
  }

  connect(userId: string): Promise<TestClient> {
    return TestClient.open(`ws://127.0.0.1:${this.port}/chat?user=${userId}`);
  }

  /** Resolves with a client, or with the status of the refusal. */
  async tryToConnect(userId: string): Promise<TestClient | number> {
    try {
      return await this.connect(userId);
    } catch (error) {
      if (error instanceof UpgradeRefused) return error.status;
      throw error;
    }
  }
}

/** Starts nodes, runs a test with them, and kills them even if the test fails. */
export async function withNodes(
  starts: readonly Promise<ClusterNode>[],
  test: (nodes: readonly ClusterNode[]) => Promise<void>,
): Promise<void> {
  const started = await Promise.allSettled(starts);
  const nodes = started.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []));
  try {
    const failed = started.find((one) => one.status === 'rejected');
    if (failed) throw failed.reason;
    await test(nodes);
  } finally {
    await Promise.all(nodes.map((node) => node.kill()));
  }
}
