import { createHash } from 'node:crypto';

import { noteActivity } from './line-activity.js';

/** The methods that run scripts. Every kind of client of the `redis` package has them. */
export interface ScriptClient {
  evalSha(sha: string, parts: ScriptParts): Promise<unknown>;
  eval(source: string, parts: ScriptParts): Promise<unknown>;
}

export interface ScriptParts {
  readonly keys: string[];
  readonly arguments: string[];
}

/**
 * A Lua script. It is sent as its hash, or in full if the server does not have it (restart, failover, SCRIPT FLUSH).
 */
export class Script {
  readonly sha: string;

  constructor(readonly source: string) {
    this.sha = createHash('sha1').update(source).digest('hex');
  }

  /** Rejects as the command does. */
  run(client: ScriptClient, keys: string[], args: string[]): Promise<unknown> {
    const parts = { keys, arguments: args };
    const replied = (reply: unknown): unknown => {
      noteActivity(client);
      return reply;
    };
    // A chain, because each `async` function between sender and client would cost every message another promise.
    return client.evalSha(this.sha, parts).then(replied, (error: unknown) => {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return client.eval(this.source, parts).then(replied);
    });
  }
}
