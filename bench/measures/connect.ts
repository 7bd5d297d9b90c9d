import { metrics } from '../metrics.js';
import { interleave, type Measure, withFleet } from './measure.js';

const CONCURRENCY = 16;
/** The longest way of all through a server's code: it takes long to be compiled. */
const WARM_UP_ROUNDS = 4;

/**
 * What a connection costs that comes and goes: handshake, `handleConnection`, close. Ours authenticates,
 * and builds and disposes of the scope; nobody else does.
 */
export const connect: Measure = {
  name: 'connect',
  async run(bench) {
    const { settings, results } = bench;
    const count = settings.isQuick ? 500 : 2_500;
    await withFleet(bench, settings.candidates, CONCURRENCY, async ({ servers, load }) => {
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
    });
  },
};
