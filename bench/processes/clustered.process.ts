// Servers of a candidate on one port: the primary process of `node:cluster`.
import cluster from 'node:cluster';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { answer, Remote } from '../../lab/remote.js';
import type { ServerOptions } from '../candidates/candidate.js';
import type { ServerMethods } from './server.process.js';

const workers: Remote<ServerMethods>[] = [];

const methods = {
  /** Resolves with the port of all servers. */
  async start(count: number, candidate: string, options: ServerOptions): Promise<number> {
    cluster.setupPrimary({
      exec: fileURLToPath(new URL('./server.process.js', import.meta.url)),
      execArgv: ['--expose-gc'],
    });
    while (workers.length < count) {
      const worker = cluster.fork();
      await once(worker, 'message');
      workers.push(new Remote(worker.process));
    }
    // Servers that ask for any port get the same one.
    const ports = workers.map((worker) => worker.call('start', candidate, options));
    return (await Promise.all(ports))[0]!;
  },

  /** Returns the processor time of all processes, in microseconds. */
  async cpu(): Promise<number> {
    const { user, system } = process.cpuUsage();
    const each = await Promise.all(workers.map((worker) => worker.call('cpu')));
    return each.reduce((sum, us) => sum + us, user + system);
  },
};

export type ClusteredMethods = typeof methods;

answer(methods);
