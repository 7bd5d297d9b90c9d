import { createHmac } from 'node:crypto';

import { RecentValues } from '../structures/recent-values.js';

/** 128 bits: two users with the same hash cannot be found in practice. */
const HASH_BYTES = 16;
/** Ids whose hashes are remembered: those of busy topics and users are needed with every message. */
const RECENT_IDS = 1_024;

/** The keys of one user. All of them are in one hash slot of a Redis Cluster. */
export interface UserKeys {
  /** The user's id, hashed: ids are personal data, and may contain any character. */
  readonly hash: string;
  /** Sorted set: `nodeId:connectionId` → time at which its lease ends, by the clock of Redis. */
  readonly leases: string;
  /** Sorted set: evicted connections → time until which the eviction is remembered. */
  readonly evicted: string;
}

/** The names of all keys and channels in Redis. The part in braces determines the hash slot. */
export class Keys {
  /** Sorted set: node → time until which the node counts as alive. */
  readonly nodes: string;
  /** Hash: node → its description, as JSON. */
  readonly nodeInfo: string;
  /** Stream: the log of revocations, that is, of connections to close on all nodes. */
  readonly revocations: string;
  /** Hash: the key with which all nodes seal positions. */
  readonly seal: string;
  /** Key on which the rights of the user of Redis are tried. */
  readonly check: string;
  /** Pattern of all keys and all channels, as ACLs write it. */
  readonly all: string;
  readonly #hashes = new RecentValues(RECENT_IDS, (id) => this.#hash(id));

  /** @param database all databases of a Redis share pub/sub, so the names of channels contain its number */
  constructor(
    private readonly prefix: string,
    private readonly secret: string,
    private readonly database: number,
  ) {
    this.nodes = `${prefix}:{nodes}:alive`;
    this.nodeInfo = `${prefix}:{nodes}:info`;
    this.seal = `${prefix}:{nodes}:seal`;
    this.check = `${prefix}:{nodes}:check`;
    this.all = `${prefix}*`;
    this.revocations = `${prefix}:{nodes}:revocations`;
  }

  /** The hash of an id of a user or a thread, or of the name of a topic. No two share a hash. */
  hashOf(id: string): string {
    return this.#hashes.of(id);
  }

  ofUser(hash: string): UserKeys {
    const user = this.named(hash, '');
    return { hash, leases: `${user}leases`, evicted: `${user}evicted` };
  }

  /** Any other key of a user, by its name; {@link ofUser} returns the keys of the slots. */
  named(hash: string, name: string): string {
    return `${this.prefix}:{u:${hash}}:${name}`;
  }

  /** A key of a topic, by its name. All keys of a topic are in one hash slot. */
  ofTopic(hash: string, name: string): string {
    return `${this.prefix}:{t:${hash}}:${name}`;
  }

  /** The pub/sub channel of a node. A prefix cannot contain `@`, so two applications never share a channel. */
  channelOf(nodeId: string): string {
    return `${this.prefix}:node@${this.database}:${nodeId}`;
  }

  #hash(id: string): string {
    // As UTF-16, unchanged: UTF-8 encodes all lone surrogates as the same bytes.
    const hmac = createHmac('sha256', this.secret).update(id, 'utf16le').digest();
    return hmac.subarray(0, HASH_BYTES).toString('hex');
  }
}

/**
 * The name of a connection in the lease registry. Node ids are new at every start, so a lease of an earlier process is
 * never taken for one of this process.
 */
export function memberOf(nodeId: string, connectionId: string): string {
  return `${nodeId}:${connectionId}`;
}

/** The node part of a member. */
export function nodeOf(member: string): string {
  return member.slice(0, member.indexOf(':'));
}
