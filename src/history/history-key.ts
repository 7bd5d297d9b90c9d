import { encodeKeyPart } from '../context/isolation-key.js';
import type { PositionSeal } from './position-seal.js';
import { createEpoch, createTopicEpoch } from './position.js';

/** Identifies a thread of a user. A history is never read by the id of the thread alone. */
export interface ThreadKey {
  readonly userId: string;
  readonly threadId: string;
}

/** Identifies a topic, which connections of different users join. */
export interface TopicKey {
  /** The name of the topic. */
  readonly topic: string;
}

/** Identifies a history: that of a thread, or that of a topic. */
export type HistoryKey = ThreadKey | TopicKey;

/** A key with nothing but its fields: a connection's context is a key too. */
export function plainKey<Key extends HistoryKey>(key: Key): Key {
  const { userId, threadId, topic } = key as Partial<ThreadKey & TopicKey>;
  return (topic === undefined ? { userId, threadId } : { topic }) as unknown as Key;
}

/** One text for each key. No two keys share a text. */
export function keyText(key: HistoryKey): string {
  return 'topic' in key ? key.topic : `${encodeKeyPart(key.userId)}:${encodeKeyPart(key.threadId)}`;
}

/** Whether clients of several users read a history: what one of them claims about it must not affect the others. */
export function isShared(key: HistoryKey): boolean {
  return 'topic' in key;
}

/** Creates the epoch of a new history. It carries the mark of its user, so that a position of another user is found. */
export function epochFor(key: HistoryKey, seal: PositionSeal): string {
  return 'topic' in key ? createTopicEpoch() : createEpoch(key.userId, seal);
}
