import { metrics } from '../metrics.js';
import { interleave, type Measure, withFleet } from './measure.js';

/**
 * The same echo and the same connection without the operating system. Its cost is the same for all candidates, so
 * what remains is the cost of each candidate's own code. With `--profile`, this is the place to look first.
 */
export const code: Measure = {
  name: 'code',
  async run(bench) {
    const { settings, results } = bench;
    const candidates = settings.candidates.filter(({ protocol }) => protocol === 'plain');
    const messages = settings.isQuick ? 40_000 : 100_000;
    const connections = settings.isQuick ? 2_000 : 5_000;
    await withFleet(bench, candidates, { connections: 64 }, async ({ servers }) => {
      await interleave(settings.rounds + 1, servers, async (server, round) => {
        const { name } = server.candidate;
        bench.progress(`code, round ${round}, ${name}`);
        const echo = await server.cpuOf('code-echo', () =>
          server.call('echoWithoutSockets', messages),
        );
        const connect = await server.cpuOf('code-connect', () =>
          server.call('connectWithoutSockets', connections),
        );
        // The first round warms up.
        if (round === 0) return;
        results.add(metrics.echoCode(), name, echo.result);
        results.add(metrics.connectCode(), name, connect.result);
      });
    });
  },
};
