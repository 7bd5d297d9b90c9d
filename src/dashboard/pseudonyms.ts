import { createHmac, randomBytes } from 'node:crypto';

/** The fields of answers that identify a user, and the word that takes their place. */
const PRIVATE: Readonly<Record<string, string>> = {
  userId: 'user',
  threadId: 'thread',
  claimedThreadId: 'thread',
  threadIds: 'thread',
  isolationKey: 'key',
  runId: 'run',
  target: 'target',
};
const LENGTH = 8;

/**
 * Replaces the ids of users and threads for viewers who may not see them. The same id has the same pseudonym in every
 * part of the page, until the process is restarted; other processes have other ones. Nobody can compute a pseudonym
 * from an id, or try ids out.
 */
export class Pseudonyms {
  readonly #secret = randomBytes(32);

  /** For `JSON.stringify`: replaces the value of every field that identifies a user. */
  readonly replace = (field: string, value: unknown): unknown => {
    const word = Object.hasOwn(PRIVATE, field) ? PRIVATE[field]! : undefined;
    if (word === undefined) return value;
    if (typeof value === 'string') return this.of(word, value);
    return Array.isArray(value) ? value.map((each) => this.of(word, String(each))) : value;
  };

  /** Whether a text is the pseudonym of this user or thread. */
  isOf(pseudonym: string, { userId, threadId }: { userId: string; threadId: string }): boolean {
    return pseudonym === this.of('user', userId) || pseudonym === this.of('thread', threadId);
  }

  of(word: string, id: string): string {
    const digest = createHmac('sha256', this.#secret).update(id).digest('hex');
    return `${word}-${digest.slice(0, LENGTH)}`;
  }
}
