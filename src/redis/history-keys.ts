import type { HistoryKey } from '../history/history-key.js';
import type { Keys } from './keys.js';

/** The names of a history's keys in Redis, all in one hash slot. */
export interface HistoryKeys {
  /** Sorted set whose members begin with a node: the nodes that get the events. */
  readonly holders: string;
  readonly hash: string;
  readonly stream: string;
}

export function historyKeysOf(keys: Keys, key: HistoryKey): HistoryKeys {
  if ('topic' in key) {
    const topic = keys.hashOf(key.topic);
    return {
      holders: keys.ofTopic(topic, 'nodes'),
      hash: keys.ofTopic(topic, 'history'),
      stream: keys.ofTopic(topic, 'events'),
    };
  }
  const user = keys.hashOf(key.userId);
  const thread = keys.hashOf(key.threadId);
  return {
    holders: keys.ofUser(user).leases,
    hash: keys.named(user, `thread:${thread}`),
    stream: keys.named(user, `events:${thread}`),
  };
}

/** The names in the order in which the scripts take them as KEYS. */
export function namesOf({ holders, hash, stream }: HistoryKeys): string[] {
  return [holders, hash, stream];
}
