import { setTimeout as pause } from 'node:timers/promises';

import type { Candidate, ServerOptions } from '../candidates/candidate.js';
import type { Profiles } from '../profile/profiles.js';
import { Remote, type Start } from '../../lab/remote.js';
import type { ServerMethods } from './server.process.js';

/** Work that a server does just after its clients have left is part of their cost, so the measurement waits for it. */
const SETTLE_MS = 50;

/** The core, and the Node.js, that a process runs on. */
export type Place = Pick<Start, 'core' | 'node'>;

/** The server of a candidate, in a separate process. */
export class Server {
  readonly #remote: Remote<ServerMethods>;
  port = 0;

  private constructor(
    readonly candidate: Candidate,
    private readonly profiles: Profiles | undefined,
    place: Place,
  ) {
    const module = new URL('./server.process.js', import.meta.url);
    this.#remote = new Remote(module, { execArgv: ['--expose-gc'], ...place });
  }

  static async start(
    candidate: Candidate,
    options: ServerOptions,
    profiles?: Profiles,
    place: Place = {},
  ): Promise<Server> {
    const server = new Server(candidate, profiles, place);
    server.port = await server.#remote.call('start', candidate.name, options);
    return server;
  }

  get call(): Remote<ServerMethods>['call'] {
    return this.#remote.call.bind(this.#remote);
  }

  /**
   * Resolves with the processor time, in microseconds, that the server spends during `work`.
   *
   * @param title the title of `work` in a profile
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
