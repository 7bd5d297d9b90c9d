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

  async run(client: ScriptClient, keys: string[], args: string[]): Promise<unknown> {
    const reply = await this.#send(client, { keys, arguments: args });
    noteActivity(client);
    return reply;
  }

  async #send(client: ScriptClient, parts: ScriptParts): Promise<unknown> {
    try {
      return await client.evalSha(this.sha, parts);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return client.eval(this.source, parts);
    }
  }
}
