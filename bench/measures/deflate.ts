import { metrics } from '../metrics.js';
import { APART, connectClients, interleave, type Measure, withFleet } from './measure.js';

const CONNECTIONS = 64;
const BYTES = 4096;
/** The servers that can compress. */
const COMPRESSING = new Set(['bare-ws', 'isolated-injected']);

/** The server's cost of a compressed message and its compressed echo. */
export const deflate: Measure = {
  name: 'deflate',
  async run(bench) {
    const { settings, results } = bench;
    const candidates = settings.candidates.filter(({ name }) => COMPRESSING.has(name));
    const options = { connections: CONNECTIONS, deflates: true };
    const run = {
      bytes: BYTES,
      durationMs: settings.isQuick ? 300 : 600,
      window: 1,
      kind: 'compressed echo',
    } as const;
    await withFleet(
      bench,
      candidates,
      options,
      async (fleet) => {
        const { servers, load } = fleet;
        await connectClients(fleet, CONNECTIONS, { deflates: true });
        await interleave(settings.rounds + 1, servers, async (server, round) => {
          const { name } = server.candidate;
          bench.progress(`compressed echo, round ${round}, ${name}`);
          const { cpuUs, result } = await server.cpuOf('deflate', () =>
            load.call('echo', name, run),
          );
          // The first round warms up.
          if (round > 0) results.add(metrics.deflatedCpu(BYTES), name, cpuUs / result.messages);
        });
      },
      APART,
    );
  },
};
