/**
 * What the client does after a close code. `at once` waits a random part of `firstDelayMs`, so that not all clients of
 * a server that goes away come back at the same moment; after further failures it backs off as well.
 */
export type Reaction = 'stop' | 'at once' | 'back off' | 'sign in' | 'when needed';

/** The close codes that have a reaction of their own. After any other, the client backs off. */
const CODES: Readonly<Record<Exclude<Reaction, 'back off'>, readonly number[]>> = {
  stop: [1000, 1002, 1003, 1007, 1008, 1009, 4403, 4409],
  'at once': [1001, 1013, 4429, 4442, 4443],
  'sign in': [4401],
  'when needed': [4440],
};

export function reactionTo(code: number): Reaction {
  const reactions = Object.keys(CODES) as (keyof typeof CODES)[];
  return reactions.find((reaction) => CODES[reaction].includes(code)) ?? 'back off';
}

/** A server that is wrong must not send a client away for ever. */
const LONGEST_RETRY_AFTER_MS = 24 * 60 * 60 * 1_000;

/** What a close reason such as `{"reason":"user-limit","retryAfterMs":5000}` says. */
export interface CloseNote {
  /** The client is not wanted earlier. */
  readonly retryAfterMs: number;
  /** The handshake was refused: nothing that was sent over the connection has been handled. */
  readonly isRefusal: boolean;
}

// The codes of refused handshakes: 1008, 1011, 1013 and 44xx. A reason with another code is none of a refusal: a process
// that goes away gives one with 1001, and an app may give its own.
const REFUSALS = /^(1008|101|44)/;

export function readReason(code: number, text: string): CloseNote {
  let note: { readonly reason?: unknown; readonly retryAfterMs?: unknown } | undefined;
  try {
    note = JSON.parse(text) as typeof note;
  } catch {
    // A text for people.
  }
  return {
    retryAfterMs: Math.min(Number(note?.retryAfterMs) || 0, LONGEST_RETRY_AFTER_MS),
    isRefusal: typeof note?.reason === 'string' && REFUSALS.test(`${code}`),
  };
}
