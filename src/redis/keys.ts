import { createHmac } from 'node:crypto';

/** 128 bits: nobody finds two users with one hash. */
const HASH_BYTES = 16;

/** The keys of one user. All in one hash slot of a Redis Cluster. */
export interface UserKeys {
  /** The user's id, hashed: ids are personal, and may hold anything. */
  readonly hash: string;
  /** Sorted set: `nodeId:connectionId` → when its lease ends, by the clock of Redis. */
  readonly leases: string;
  /** Sorted set: connections that had to make room → until when that is remembered. */
  readonly evicted: string;
}

/** Names of everything in Redis. What stands in braces decides the hash slot. */
export class Keys {
  /** Sorted set: node → until when it is taken for alive. */
  readonly nodes: string;
  /** Hash: node → what it says of itself. */
  readonly nodeInfo: string;
  /** Stream: who is to be disconnected everywhere. */
  readonly revocations: string;
  /** What is tried on it says what the user of Redis may do. */
  readonly check: string;
  /** All keys, and all channels, as ACLs put it. */
  readonly all: string;

  /** @param database pub/sub is shared by all databases of a Redis: channels say which they belong to */
  constructor(
    private readonly prefix: string,
    private readonly secret: string,
    private readonly database: number,
  ) {
    this.nodes = `${prefix}:{nodes}:alive`;
    this.nodeInfo = `${prefix}:{nodes}:info`;
    this.check = `${prefix}:{nodes}:check`;
    this.all = `${prefix}*`;
    this.revocations = `${prefix}:{nodes}:revocations`;
  }

  /** Of a user's or a thread's id. No two ids share one. */
  hashOf(id: string): string {
    // In UTF-16, as it is: UTF-8 has one form for all halves of surrogate pairs.
    const hmac = createHmac('sha256', this.secret).update(id, 'utf16le').digest();
    return hmac.subarray(0, HASH_BYTES).toString('hex');
  }

  ofUser(hash: string): UserKeys {
    const user = this.named(hash, '');
    return { hash, leases: `${user}leases`, evicted: `${user}evicted` };
  }

  /** Any other key of a user, by its name; `ofUser` names those of the slots. */
  named(hash: string, name: string): string {
    return `${this.prefix}:{u:${hash}}:${name}`;
  }

  /** Pub/sub channel on which a node listens. No prefix holds an `@`: two applications never share one. */
  channelOf(nodeId: string): string {
    return `${this.prefix}:node@${this.database}:${nodeId}`;
  }
}

/** One connection in the registry of leases. Node ids are new at every start: what belonged to an earlier one stays its. */
export function memberOf(nodeId: string, connectionId: string): string {
  return `${nodeId}:${connectionId}`;
}

/** The node part of a member. */
export function nodeOf(member: string): string {
  return member.slice(0, member.indexOf(':'));
}
