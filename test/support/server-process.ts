import type { WebSocketIsolationOptions } from 'nestjs-websocket-isolation';

import type { ServerMethods } from '../processes/server.process.js';
import { NodeProcess } from './node-process.js';

const MODULE = new URL('../processes/server.process.ts', import.meta.url);

/** The application of `server.process.ts` in a separate process, and its port. The caller ends it. */
export class ServerProcess extends NodeProcess<ServerMethods> {
  port = 0;

  static async start(
    options: WebSocketIsolationOptions = {},
    nodeOptions: readonly string[] = [],
  ): Promise<ServerProcess> {
    const server = new ServerProcess(MODULE, options, nodeOptions);
    server.port = await server.call('port');
    return server;
  }

  url(user: string): string {
    return `ws://127.0.0.1:${this.port}/app?user=${user}`;
  }
}
