import { setTimeout as pause } from 'node:timers/promises';

import { candidateNamed, type ServerOptions } from '../candidates/candidate.js';
import { ArrivalWays, type ArrivalWay, metrics } from '../metrics.js';
import { Server } from '../processes/server.js';
import { interleave, type Measure, startLoad } from './measure.js';

const CONCURRENCY = 16;
/** As many as `connect` needs until the code is compiled. */
const WARM_UP_ROUNDS = 4;

const options: Readonly<Record<ArrivalWay, ServerOptions>> = {
  accepted: { connections: CONCURRENCY },
  'refused with 503, rate of the process': { connections: CONCURRENCY, refuses: 'process' },
  'refused with 429, rate of the address': { connections: CONCURRENCY, refuses: 'address' },
};

/** The cost of an arrival that admission refuses, beside that of one that connects and closes. */
export const refusals: Measure = {
  name: 'refusals',
  async run(bench) {
    const { settings, results, profiles } = bench;
    const count = settings.isQuick ? 500 : 2_500;
    const candidate = candidateNamed('isolated-injected');
    const load = startLoad();
    const ways: { readonly way: ArrivalWay; readonly server: Server }[] = [];
    try {
      for (const way of ArrivalWays) {
        ways.push({ way, server: await Server.start(candidate, options[way], profiles) });
      }
      await pause(500);
      const arrive = ({ way, server: { port } }: (typeof ways)[number]): Promise<void> => {
        const method = way === 'accepted' ? 'openAndClose' : 'beRefused';
        return load.call(method, { port, protocol: 'plain', concurrency: CONCURRENCY, count });
      };
      await interleave(settings.isQuick ? 1 : WARM_UP_ROUNDS, ways, arrive);
      await interleave(settings.rounds, ways, async (one, round) => {
        bench.progress(`refusals, round ${round + 1}, ${one.way}`);
        const { cpuUs } = await one.server.cpuOf(one.way, () => arrive(one));
        results.add(metrics.arrivalCpu(), one.way, cpuUs / count);
      });
    } finally {
      await Promise.all([load.end(), ...ways.map(({ server }) => server.end())]);
    }
  },
};
