/** Milliseconds within which clients that are told to go come back to another node. */
const RETURN_MS = 1_000;

/** A close reason with the time after which to come back. Clients read the time, and people the reason. */
export function retryReason(retryAfterMs: number, reason?: string): string {
  return JSON.stringify({ reason, retryAfterMs: Math.ceil(retryAfterMs) });
}

/** The close reason of a process that shuts down: come back within a second, at random. */
export function drainingReason(): string {
  return retryReason(Math.random() * RETURN_MS, 'draining');
}
