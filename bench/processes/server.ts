import { setTimeout as pause } from 'node:timers/promises';

import type { Candidate, ServerOptions } from '../candidates/candidate.js';
import type { Profiles } from '../profile/profiles.js';
import { Remote } from './rpc.js';
import type { ServerMethods } from './server.process.js';

/** What a server does a moment after its clients have gone belongs to what they cost. */
const SETTLE_MS = 50;

/** A candidate's server, in a process of its own. */
export class Server {
  readonly #remote: Remote<ServerMethods>;
  port = 0;

  private constructor(
    readonly candidate: Candidate,
    private readonly profiles: Profiles | undefined,
  ) {
    const module = new URL('./server.process.js', import.meta.url);
    this.#remote = new Remote(module, ['--expose-gc']);
  }

  static async start(
    candidate: Candidate,
    options: ServerOptions,
    profiles?: Profiles,
  ): Promise<Server> {
    const server = new Server(candidate, profiles);
    server.port = await server.#remote.call('start', candidate.name, options);
    return server;
  }

  get call(): Remote<ServerMethods>['call'] {
    return this.#remote.call.bind(this.#remote);
  }

  /**
   * The processor time, in microseconds, that the server spends while something is done to it.
   *
   * @param title what that is, for a profile
   */
  async cpuOf<T>(title: string, work: () => Promise<T>): Promise<{ cpuUs: number; result: T }> {
    if (this.profiles) await this.call('startProfile');
    const before = await this.call('cpu');
    const result = await work();
    await pause(SETTLE_MS);
    const cpuUs = (await this.call('cpu')) - before;
    if (this.profiles) this.profiles.add(title, await this.call('stopProfile'));
    return { cpuUs, result };
  }

  end(): Promise<void> {
    return this.#remote.end();
  }
}
