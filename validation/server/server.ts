import { Remote } from '../../bench/processes/rpc.js';
import type { ServerMethods } from './server.process.js';
import type { History } from './timeline.js';

/** An application of its own, in a process of its own. */
export class Server {
  readonly #remote = new Remote<ServerMethods>(new URL('./server.process.js', import.meta.url), [
    '--expose-gc',
  ]);
  port = 0;

  static async start(...how: Parameters<ServerMethods['start']>): Promise<Server> {
    const server = new Server();
    server.port = await server.#remote.call('start', ...how);
    return server;
  }

  get call(): Remote<ServerMethods>['call'] {
    return this.#remote.call.bind(this.#remote);
  }

  /** Where a user connects, on another port where a line leads to the server. */
  url(userId: string, threadId?: string, port: number = this.port): string {
    const query = new URLSearchParams({ user: userId, ...(threadId && { thread: threadId }) });
    return `ws://127.0.0.1:${port}/?${query.toString()}`;
  }

  /** Closes the application, as a deployment does. */
  stop(): Promise<History> {
    return this.call('stop');
  }

  /** Ends the process. */
  end(): Promise<void> {
    return this.#remote.end();
  }
}
