/**
 * The thread that a payload names and the connection does not have; `undefined` when it names none or
 * the right one.
 */
export function foreignThread(data: unknown, threadId: string): string | undefined {
  if (typeof data !== 'object' || data === null) return undefined;
  const { threadId: camel, thread_id: snake } = data as { threadId?: unknown; thread_id?: unknown };
  if (isForeign(camel, threadId)) return describe(camel);
  return isForeign(snake, threadId) ? describe(snake) : undefined;
}

/** Whether a payload names a thread at all. */
export function claimsThread(data: unknown): boolean {
  if (typeof data !== 'object' || data === null) return false;
  const { threadId, thread_id: snake } = data as { threadId?: unknown; thread_id?: unknown };
  return (threadId ?? snake ?? undefined) !== undefined;
}

function isForeign(claim: unknown, threadId: string): boolean {
  return claim !== undefined && claim !== null && claim !== threadId;
}

// It goes into a log line: text, and not too much of it.
function describe(claim: unknown): string {
  return (typeof claim === 'string' ? claim : typeof claim).slice(0, 256);
}
