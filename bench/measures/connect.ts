import { metrics } from '../metrics.js';
import { APART, interleave, type Measure, withFleet } from './measure.js';

const CONCURRENCY = 16;
/** Connecting is the longest path through a server's code, so it takes several rounds to be compiled. */
const WARM_UP_ROUNDS = 4;

/**
 * The cost of a connection that opens and closes: handshake, `handleConnection`, close. Only the isolated candidates
 * authenticate, and build and dispose of a scope.
 */
export const connect: Measure = {
  name: 'connect',
  async run(bench) {
    const { settings, results } = bench;
    const count = settings.isQuick ? 500 : 2_500;
    await withFleet(
      bench,
      settings.candidates,
      { connections: CONCURRENCY },
      async ({ servers, load }) => {
        const crowdOf = ({ port, candidate }: (typeof servers)[number]) => ({
          port,
          protocol: candidate.protocol,
          concurrency: CONCURRENCY,
          count,
        });
        await interleave(settings.isQuick ? 1 : WARM_UP_ROUNDS, servers, async (server) => {
          bench.progress(`connect and close, warming up, ${server.candidate.name}`);
          await load.call('openAndClose', crowdOf(server));
        });
        await interleave(settings.rounds, servers, async (server, round) => {
          const { name } = server.candidate;
          bench.progress(`connect and close, round ${round + 1}, ${name}`);
          const { cpuUs } = await server.cpuOf('connect', () =>
            load.call('openAndClose', crowdOf(server)),
          );
          results.add(metrics.connectCpu(), name, cpuUs / count);
        });
      },
      APART,
    );
  },
};
