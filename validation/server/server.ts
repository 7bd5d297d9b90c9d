import { Remote } from '../../lab/remote.js';
import type { ServerMethods } from './server.process.js';
import type { History } from './timeline.js';

/** An application in a separate process. */
export class Server {
  readonly #remote = new Remote<ServerMethods>(new URL('./server.process.js', import.meta.url), {
    execArgv: ['--expose-gc'],
  });
  port = 0;

  static async start(...how: Parameters<ServerMethods['start']>): Promise<Server> {
    const server = new Server();
    server.port = await server.#remote.call('start', ...how);
    return server;
  }

  get call(): Remote<ServerMethods>['call'] {
    return this.#remote.call.bind(this.#remote);
  }

  /** Returns the URL that a user connects to. `port` is another port if the client connects through a `Line`. */
  url(userId: string, threadId?: string, port: number = this.port): string {
    const query = new URLSearchParams({ user: userId, ...(threadId && { thread: threadId }) });
    return `ws://127.0.0.1:${port}/?${query.toString()}`;
  }

  /** Closes the application gracefully, as a deployment does. */
  stop(): Promise<History> {
    return this.call('stop');
  }

  /** Kills the process. */
  end(): Promise<void> {
    return this.#remote.end();
  }
}
