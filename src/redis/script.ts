import { createHash } from 'node:crypto';

/** What runs scripts: every kind of client of the `redis` package. */
export interface ScriptClient {
  evalSha(sha: string, parts: ScriptParts): Promise<unknown>;
  eval(source: string, parts: ScriptParts): Promise<unknown>;
}

export interface ScriptParts {
  readonly keys: string[];
  readonly arguments: string[];
}

/** A Lua script: sent by its hash, and in full where the server has lost it (a restart, a failover, SCRIPT FLUSH). */
export class Script {
  readonly sha: string;

  constructor(readonly source: string) {
    this.sha = createHash('sha1').update(source).digest('hex');
  }

  async run(client: ScriptClient, keys: string[], args: string[]): Promise<unknown> {
    const parts = { keys, arguments: args };
    try {
      return await client.evalSha(this.sha, parts);
    } catch (error) {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return client.eval(this.source, parts);
    }
  }
}
