import type { ThreadKey } from '../history/thread-history.js';
import type { Keys } from './keys.js';

/** The names of a thread's keys in Redis. */
export interface ThreadKeys {
  readonly leases: string;
  readonly hash: string;
  readonly stream: string;
}

export function threadKeysOf(keys: Keys, { userId, threadId }: ThreadKey): ThreadKeys {
  const user = keys.hashOf(userId);
  const thread = keys.hashOf(threadId);
  return {
    leases: keys.ofUser(user).leases,
    hash: keys.named(user, `thread:${thread}`),
    stream: keys.named(user, `events:${thread}`),
  };
}

/** The names in the order in which the scripts take them as KEYS. */
export function namesOf({ leases, hash, stream }: ThreadKeys): string[] {
  return [leases, hash, stream];
}
