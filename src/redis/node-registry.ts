import type { ClusterNode, NodeLoad } from '../cluster/cluster-status.js';
import type { RedisConnection } from './connections.js';
import type { Keys } from './keys.js';
import { concernsOneKey, UnreadableReplyError } from './redis-failure.js';
import {
  type Check,
  count,
  isAnything,
  isFinite,
  isFlag,
  optional,
  parse,
  record,
  text,
} from './checks.js';
import { NOW } from './lua.js';
import { isNodeId } from './message-shapes.js';
import { Script } from './script.js';
import type { Unreadable } from './unreadable.js';

/** A node counts as dead after this many heartbeats of silence. */
const TTL_HEARTBEATS = 7 / 3;

/**
 * KEYS nodes, info; ARGV node, time to live, description of the node. Removes dead nodes. Returns the time of Redis in
 * milliseconds, and the descriptions of all nodes.
 */
const BEAT = new Script(`${NOW}
for _, dead in ipairs(redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now)) do
  redis.call('ZREM', KEYS[1], dead)
  redis.call('HDEL', KEYS[2], dead)
end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[2] * 2)
redis.call('PEXPIRE', KEYS[2], ARGV[2] * 2)
for _, node in ipairs(redis.call('HKEYS', KEYS[2])) do
  if not redis.call('ZSCORE', KEYS[1], node) then redis.call('HDEL', KEYS[2], node) end
end
return { whole(now), redis.call('HVALS', KEYS[2]) }
`);

/** KEYS nodes, info. Removes all nodes, after another program has written under these keys. */
const FORGET = new Script(`
redis.call('DEL', KEYS[1])
redis.call('DEL', KEYS[2])
`);

/** KEYS nodes, info; ARGV node. */
const LEAVE = new Script(`
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
`);

/** The description of a node. Another version of the library may leave fields out, or measure another load. */
type NodeInfo = Pick<ClusterNode, 'nodeId'> & {
  readonly [Key in keyof Omit<ClusterNode, 'nodeId' | 'load'>]?: ClusterNode[Key] | undefined;
} & { readonly load: unknown };

const isNode: Check<NodeInfo> = record<NodeInfo>({
  nodeId: isNodeId,
  name: optional(text()),
  startedAt: optional(count()),
  connections: optional(count()),
  isDraining: optional(isFlag),
  load: isAnything,
});

const isLoad = record<NodeLoad>({
  users: isFinite,
  openedPerMinute: isFinite,
  refusedPerMinute: isFinite,
  messagesPerSecond: isFinite,
  failedPerMinute: isFinite,
  busy: isFinite,
  memoryBytes: isFinite,
});

/** The reply to a heartbeat. */
export interface Beat {
  /** Epoch milliseconds by the clock of Redis. */
  readonly serverTime: number;
  readonly nodes: readonly ClusterNode[];
}

/** The registry of nodes in Redis. */
export class NodeRegistry {
  readonly #keys: string[];
  readonly #ttlMs: number;

  constructor(
    private readonly connection: () => RedisConnection,
    keys: Keys,
    heartbeatMs: number,
    private readonly unreadable: Unreadable,
  ) {
    this.#keys = [keys.nodes, keys.nodeInfo];
    this.#ttlMs = Math.ceil(heartbeatMs * TTL_HEARTBEATS);
  }

  /** Registers a node, and returns all nodes. */
  async beat(node: ClusterNode): Promise<Beat> {
    try {
      return await this.#beat(node);
    } catch (error) {
      if (!concernsOneKey(error)) throw error;
      // Every other node registers again within a heartbeat.
      this.unreadable.note('the list of nodes');
      await FORGET.run(this.connection(), this.#keys, []);
      return this.#beat(node);
    }
  }

  async leave(nodeId: string): Promise<void> {
    await LEAVE.run(this.connection(), this.#keys, [nodeId]);
  }

  async #beat(node: ClusterNode): Promise<Beat> {
    const args = [node.nodeId, String(this.#ttlMs), JSON.stringify(node)];
    const reply = await BEAT.run(this.connection(), this.#keys, args);
    const [serverTime, infos] = Array.isArray(reply) ? (reply as unknown[]) : [];
    if (!Array.isArray(infos)) throw new UnreadableReplyError('the list of nodes');
    return { serverTime: Number(serverTime), nodes: infos.flatMap((info) => this.#read(info)) };
  }

  #read(info: unknown): ClusterNode[] {
    const node = parse(String(info), isNode);
    if (!node) {
      this.unreadable.note('the description of a node');
      return [];
    }
    const { nodeId, name = nodeId, startedAt = 0, connections = 0, isDraining = false } = node;
    const { load } = node;
    const known = { nodeId, name, startedAt, connections, isDraining };
    return [isLoad(load) ? { ...known, load } : known];
  }
}
