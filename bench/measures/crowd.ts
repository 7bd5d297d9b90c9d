import type { Candidate } from '../candidates/candidate.js';
import { CrowdSizes, metrics } from '../metrics.js';
import type { Server } from '../processes/server.js';
import {
  type Bench,
  connectClients,
  type Fleet,
  interleave,
  type Measure,
  TOGETHER,
  withFleet,
} from './measure.js';

const CONNECTIONS = 1_000;
const IN_FLIGHT = 200;
/** Messages before the first round, so that the code of the server is compiled. */
const WARM_UP = 16_000;
const ROUND = 6_000;
/** Messages of a server that has just started. */
const FIRST = 10_000;

/** An echo among many open connections, few of them with a message in flight. */
export const crowd: Measure = {
  name: 'crowd',
  async run(bench) {
    const { settings, results } = bench;
    const subjects = settings.candidates.filter(({ name }) => isCompared(name));
    await onOneCore(bench, subjects, async (fleet) => {
      await connectClients(fleet, CONNECTIONS);
      for (const server of fleet.servers) {
        for (const bytes of CrowdSizes) await echo(fleet, server, bytes, WARM_UP);
      }
      for (const bytes of CrowdSizes) {
        await interleave(settings.rounds, fleet.servers, async (server, round) => {
          bench.progress(`crowd, ${bytes} B, round ${round + 1}, ${server.candidate.name}`);
          const cpuUs = await echo(fleet, server, bytes, ROUND);
          results.add(metrics.crowdCpu(bytes), server.candidate.name, cpuUs);
        });
      }
    });
    await interleave(settings.rounds, subjects, async (subject, round) => {
      bench.progress(`crowd, cold, round ${round + 1}, ${subject.name}`);
      await onOneCore(bench, [subject], async (fleet) => {
        const [server] = fleet.servers as [Server];
        await connectClients(fleet, CONNECTIONS);
        results.add(metrics.coldCrowdCpu(64), subject.name, await echo(fleet, server, 64, FIRST));
      });
    });
  },
};

function isCompared(name: string): boolean {
  return name === 'bare-ws' || name === 'isolated-injected' || name === 'nest-singleton';
}

function onOneCore(
  bench: Bench,
  subjects: readonly Candidate[],
  work: (fleet: Fleet) => Promise<void>,
): Promise<void> {
  return withFleet(bench, subjects, { connections: CONNECTIONS }, work, TOGETHER);
}

/** Returns the processor time of a message, in microseconds. */
async function echo(
  { load }: Fleet,
  server: Server,
  bytes: number,
  messages: number,
): Promise<number> {
  const { name } = server.candidate;
  const { cpuUs } = await server.cpuOf(`crowd-${bytes}`, () =>
    load.call('echoInTurn', name, { bytes, messages, inFlight: IN_FLIGHT }),
  );
  return cpuUs / messages;
}
