/** Encodes an id as one part of an isolation key. An id without `%` and `:` stays as it is. */
export function encodeKeyPart(id: string): string {
  return id.includes('%') || id.includes(':')
    ? id.replaceAll('%', '%25').replaceAll(':', '%3A')
    : id;
}

/** The user and thread of an isolation key; `undefined` for a text that is not such a key. */
export function parseIsolationKey(key: string): { userId: string; threadId: string } | undefined {
  const parts = key.split(':');
  if (parts.length !== 2) return undefined;
  const [userId, threadId] = parts.map((part) =>
    part.replaceAll('%3A', ':').replaceAll('%25', '%'),
  ) as [string, string];
  return { userId, threadId };
}
