import { join } from 'node:path';

import { nodeReleases } from '../../lab/node-releases.js';
import { metrics, NodeLines } from '../metrics.js';
import { APART, connectClients, interleave, type Measure, withFleet } from './measure.js';

const CONNECTIONS = 64;
const BYTES = 64;
const COMPARED = new Set(['bare-ws', 'isolated-injected']);
/** Until the code is compiled. */
const WARM_UP_MS = 2_000;

/** The server's cost of a message and its echo, on each release of Node.js with long-term support. */
export const releases: Measure = {
  name: 'releases',
  async run(bench) {
    const { settings, results } = bench;
    const candidates = settings.candidates.filter(({ name }) => COMPARED.has(name));
    const lines = nodeReleases(NodeLines);
    for (const [index, { bin }] of lines.entries()) {
      const line = NodeLines[index]!;
      const places = { ...APART, node: join(bin, 'node') };
      const echo = { bytes: BYTES, durationMs: settings.isQuick ? 200 : 600, window: 1 };
      await withFleet(
        bench,
        candidates,
        { connections: CONNECTIONS },
        async (fleet) => {
          const { servers, load } = fleet;
          await connectClients(fleet, CONNECTIONS);
          for (const { candidate } of servers) {
            await load.call('echo', candidate.name, { ...echo, durationMs: WARM_UP_MS });
          }
          await interleave(settings.rounds, servers, async (server, round) => {
            const { name } = server.candidate;
            bench.progress(`echo on Node ${line}, round ${round + 1}, ${name}`);
            const { cpuUs, result } = await server.cpuOf(`echo-node-${line}`, () =>
              load.call('echo', name, echo),
            );
            results.add(metrics.echoCpuOn(line), name, cpuUs / result.messages);
          });
        },
        places,
      );
    }
  },
};
