import { isDeepStrictEqual } from 'node:util';

import type { ConnectionIdentity } from './connection-identity.js';
import { type ContextFields, readIdentity } from './context-rules.js';

/**
 * What a renewal changes in a context; `undefined` for the identity of another user or thread. An identity without a
 * thread is for the thread of the connection. Its `runId` changes nothing: a renewal begins no new work.
 *
 * @throws {InvalidContextError} listing every fault of the identity
 */
export function renewedFields(
  of: Pick<ContextFields, 'userId' | 'threadId' | 'metadata'>,
  identity: ConnectionIdentity,
): Pick<ContextFields, 'metadata' | 'expiresAtMs'> | undefined {
  const { userId, threadId, metadata, expiresAtMs } = readIdentity(identity, undefined);
  if (userId !== of.userId || (threadId ?? of.threadId) !== of.threadId) return undefined;
  // The same object where nothing has changed: so others see at once that nothing has.
  const isSame = isDeepStrictEqual(metadata, of.metadata);
  return { metadata: isSame ? of.metadata : metadata, expiresAtMs };
}
