import { hostname } from 'node:os';

import type { ClusterNode } from '../cluster/cluster-status.js';
import type { Clock } from '../time/clock.js';
import type { NodeRegistry } from './node-registry.js';
import { answerWithin } from './redis-deadline.js';
import type { RedisClusterSettings } from './redis.options.js';

/** What a membership needs of its cluster. */
export interface MembershipServices {
  readonly clock: Clock;
  readonly settings: Readonly<RedisClusterSettings>;
  readonly nodeId: string;
  readonly registry: NodeRegistry;
  /** Connections on this node. */
  connections(): number;
  /** The clock of Redis showed this. @param askedAt monotonic milliseconds when it was asked */
  heardTime(serverTime: number, askedAt: number): void;
}

/** This node among the others: says again and again that it is there, and learns which others are. */
export class Membership {
  #nodes: readonly ClusterNode[] = [];
  #isDraining = false;
  readonly #startedAt: number;

  constructor(private readonly services: MembershipServices) {
    this.#startedAt = services.clock.epoch();
  }

  /** All nodes at the last heartbeat, this one too. */
  get nodes(): readonly ClusterNode[] {
    return this.#nodes;
  }

  /** The ids of the other nodes. */
  get others(): string[] {
    const { nodeId } = this.services;
    return this.#nodes.map((node) => node.nodeId).filter((known) => known !== nodeId);
  }

  /** From now on this node says that it is going away. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Says that this node is there, and asks which others are. Rejects when Redis does not answer in time. */
  async beat(): Promise<void> {
    const { clock, settings, registry } = this.services;
    const askedAt = clock.now();
    const asked = registry.beat(this.#self);
    const { serverTime, nodes } = await answerWithin(clock, settings.commandTimeoutMs, asked);
    this.services.heardTime(serverTime, askedAt);
    this.#nodes = nodes;
  }

  get #self(): ClusterNode {
    const { nodeId, settings } = this.services;
    return {
      nodeId,
      name: settings.nodeName ?? `${hostname()}:${process.pid}`,
      startedAt: this.#startedAt,
      connections: this.services.connections(),
      isDraining: this.#isDraining,
    };
  }
}
