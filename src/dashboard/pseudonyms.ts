import { createHmac, randomBytes } from 'node:crypto';

import { canonicalAddress, maskedAddress } from '../address/ip-address.js';

/**
 * The fields of answers that identify a user, and the word that takes their place. The names of topics are among them:
 * apps put ids into them, as in `user:42`, and only the app knows which part of a name is one.
 */
const PRIVATE: Readonly<Record<string, string>> = {
  userId: 'user',
  threadId: 'thread',
  claimedThreadId: 'thread',
  threadIds: 'thread',
  isolationKey: 'key',
  runId: 'run',
  target: 'target',
  topic: 'topic',
};
/** The fields of answers that hold an address of a person: a client, an operator. */
const ADDRESSES: ReadonlySet<string> = new Set(['address', 'from']);
const LENGTH = 8;

/**
 * Replaces the ids of users and threads and the names of topics for viewers who may not see them, and leaves of addresses
 * only the network. The same id has the same pseudonym in every
 * part of the page, until the process is restarted; other processes have other ones. Nobody can compute a pseudonym
 * from an id, or try ids out.
 */
export class Pseudonyms {
  readonly #secret = randomBytes(32);

  /** For `JSON.stringify`: replaces the value of every field that identifies a user. */
  readonly replace = (field: string, value: unknown): unknown => {
    if (ADDRESSES.has(field) && typeof value === 'string') return networkOf(value);
    const word = Object.hasOwn(PRIVATE, field) ? PRIVATE[field]! : undefined;
    if (word === undefined) return value;
    if (typeof value === 'string') return this.of(word, value);
    return Array.isArray(value) ? value.map((each) => this.of(word, String(each))) : value;
  };

  /** Whether a text is the pseudonym of this user or thread. */
  isOf(pseudonym: string, { userId, threadId }: { userId: string; threadId: string }): boolean {
    return pseudonym === this.of('user', userId) || pseudonym === this.of('thread', threadId);
  }

  isOfTopic(pseudonym: string, topic: string): boolean {
    return pseudonym === this.of('topic', topic);
  }

  of(word: string, id: string): string {
    const digest = createHmac('sha256', this.#secret).update(id).digest('hex');
    return `${word}-${digest.slice(0, LENGTH)}`;
  }
}

function networkOf(text: string): string {
  // By default, events name only the network from the start.
  if (text.includes('/')) return text;
  const address = canonicalAddress(text);
  return address === undefined ? 'unknown' : maskedAddress(address);
}
