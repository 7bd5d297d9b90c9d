import type { Reaction } from 'nestjs-websocket-isolation/client';

import { plain, tableOf } from './readme.js';

/** Maps the texts of the table of close codes to the reactions of the client. */
const REACTION_OF: Readonly<Record<string, Reaction>> = {
  no: 'stop',
  'yes, at once': 'at once',
  'yes, with back-off': 'back off',
  // At once after the time that the server has named.
  'after retryAfterMs': 'at once',
  'after signing in': 'sign in',
  'when there is something to say': 'when needed',
};

/** The close codes of the documentation, and what a client does after them. */
export function documentedReactions(): { code: number; reaction: Reaction }[] {
  return tableOf('docs/reference/close-codes.md', 'close-codes').map((row) => {
    const words = plain(row[3]);
    const phrase = Object.keys(REACTION_OF).find((start) => words.startsWith(start))!;
    return { code: Number(row[0]), reaction: REACTION_OF[phrase]! };
  });
}
