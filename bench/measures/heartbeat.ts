import { setTimeout as pause } from 'node:timers/promises';

import { metrics } from '../metrics.js';
import { ManyConnections } from '../processes/many.js';
import { interleave, type Measure } from './measure.js';

/** The default of `heartbeat.intervalMs`. Each connection is pinged once per interval. */
const INTERVAL_MS = 25_000;
const SETTLE_MS = 3_000;
const MOST_ROUNDS = 2;
/** The candidates that ping: bare `ws` with the loop of its documentation, Socket.IO by default, and the library. */
const PINGING = new Set(['bare-ws', 'nest-socket-io', 'isolated-injected']);

/** The cost of idle connections that are pinged. */
export const heartbeat: Measure = {
  name: 'heartbeat',
  async run(bench) {
    const { settings, results } = bench;
    const connections = settings.idle[0]!;
    const started: ManyConnections[] = [];
    try {
      for (const candidate of settings.candidates.filter(({ name }) => PINGING.has(name))) {
        bench.progress(`heartbeat, opening ${connections}, ${candidate.name}`);
        const many = await ManyConnections.start(candidate, connections, bench.profiles);
        started.push(many);
        await many.open();
        await many.sum(async (server) => {
          await server.call('startPinging', INTERVAL_MS);
          return 0;
        });
      }
      // Work left over from opening the connections must not be counted.
      await pause(SETTLE_MS);
      const rounds = settings.isQuick ? 1 : Math.min(MOST_ROUNDS, settings.rounds);
      // All candidates run at once: they are idle, and the processor time is read per server process.
      await interleave(rounds, [started], async (all, round) => {
        bench.progress(`heartbeat, round ${round + 1}`);
        await Promise.all(
          all.map(async (many) => {
            const spent = (server: (typeof many.shares)[number]['server']): Promise<number> =>
              server.cpuOf('heartbeat', () => pause(INTERVAL_MS)).then(({ cpuUs }) => cpuUs);
            const cpuUs = await many.sum(spent);
            const { name } = many.shares[0]!.server.candidate;
            results.add(metrics.heartbeatCpu(connections), name, cpuUs / INTERVAL_MS);
          }),
        );
      });
    } finally {
      await Promise.all(started.map((many) => many.end()));
    }
  },
};
