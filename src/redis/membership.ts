import { hostname } from 'node:os';

import type { ClusterMembership } from '../cluster/cluster.js';
import type { ClusterNode, NodeLoad } from '../cluster/cluster-status.js';
import { Plug, type Unplug } from '../structures/plug.js';
import type { Clock } from '../time/clock.js';
import type { NodeRegistry } from './node-registry.js';
import { answerWithin } from './redis-deadline.js';
import type { RedisClusterSettings } from './redis.options.js';

/** What a membership needs from its cluster. */
export interface MembershipServices {
  readonly clock: Clock;
  readonly settings: Readonly<RedisClusterSettings>;
  readonly nodeId: string;
  readonly registry: NodeRegistry;
  /** Connections on this node. */
  connections(): number;
  /** Redis has returned its time. @param askedAt monotonic milliseconds at which the command was sent */
  heardTime(serverTime: number, askedAt: number): void;
}

/** The membership of this node: registers the node with every heartbeat, and learns which other nodes there are. */
export class Membership implements ClusterMembership {
  readonly #load = new Plug<() => NodeLoad>();
  #nodes: readonly ClusterNode[] = [];
  #isDraining = false;
  readonly #startedAt: number;

  constructor(private readonly services: MembershipServices) {
    this.#startedAt = services.clock.epoch();
  }

  /** All nodes at the last heartbeat, this one included. */
  get nodes(): readonly ClusterNode[] {
    return this.#nodes;
  }

  /** The ids of the other nodes. */
  get others(): string[] {
    const { nodeId } = this.services;
    return this.#nodes.map((node) => node.nodeId).filter((known) => known !== nodeId);
  }

  useLoad(measure: () => NodeLoad): Unplug {
    return this.#load.use(measure);
  }

  /** From the next heartbeat on, this node is registered as draining. */
  drain(): void {
    this.#isDraining = true;
  }

  /** Registers this node and fetches all nodes. Rejects when Redis does not reply in time. */
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
    const load = this.#load.part?.();
    return {
      nodeId,
      name: settings.nodeName ?? `${hostname()}:${process.pid}`,
      startedAt: this.#startedAt,
      connections: this.services.connections(),
      isDraining: this.#isDraining,
      ...(load && { load }),
    };
  }
}
