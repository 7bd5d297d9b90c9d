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

/** A client of one server. */
interface SingleClient extends ScriptClient {
  sendCommand(args: readonly string[]): Promise<unknown>;
}

/** Whether a client is of one server: those of Sentinel and Redis Cluster have no options. */
export function isSingle(client: object): client is SingleClient {
  return (client as { readonly options?: object }).options !== undefined;
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
    const replied = (reply: unknown): unknown => {
      noteActivity(client);
      return reply;
    };
    // A chain, because each `async` function between sender and client would cost every message another promise.
    return this.#send(client, keys, args).then(replied, (error: unknown) => {
      if (!(error instanceof Error) || !error.message.startsWith('NOSCRIPT')) throw error;
      return client.eval(this.source, { keys, arguments: args }).then(replied);
    });
  }

  #send(client: ScriptClient, keys: string[], args: string[]): Promise<unknown> {
    if (!isSingle(client)) return client.evalSha(this.sha, { keys, arguments: args });
    // `evalSha` does the same with more promises. They were a tenth of what a message to another node costs.
    return client.sendCommand(['EVALSHA', this.sha, String(keys.length), ...keys, ...args]);
  }
}
