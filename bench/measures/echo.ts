import { EchoSizes, metrics } from '../metrics.js';
import {
  APART,
  type Bench,
  connectClients,
  type Fleet,
  interleave,
  type Measure,
  withFleet,
} from './measure.js';

const CONNECTIONS = 64;
/** How long each candidate runs per round. */
const ROUND_MS = { 64: 600, 1024: 300, 4096: 300, 16_384: 300 } as const;
/** Messages of a connection in flight: the client waits for each echo. */
const WINDOW = 1;

/** Connects the clients of an echo, and warms the servers up, so that their code is compiled before measuring. */
export async function openAndWarmUp({ settings }: Bench, fleet: Fleet): Promise<void> {
  const durationMs = settings.isQuick ? 300 : 1_000;
  await connectClients(fleet, CONNECTIONS);
  for (const { candidate } of fleet.servers) {
    for (const bytes of EchoSizes) {
      await fleet.load.call('echo', candidate.name, { bytes, durationMs, window: WINDOW });
    }
  }
}

/** The server's cost of a message and its echo, and the number of echoes per second. */
export const echo: Measure = {
  name: 'echo',
  async run(bench) {
    const { settings, results } = bench;
    await withFleet(
      bench,
      settings.candidates,
      { connections: CONNECTIONS },
      async (fleet) => {
        await openAndWarmUp(bench, fleet);
        for (const bytes of EchoSizes) {
          const durationMs = settings.isQuick ? 200 : ROUND_MS[bytes];
          await interleave(settings.rounds, fleet.servers, async (server, round) => {
            const { name } = server.candidate;
            bench.progress(`echo of ${bytes} B, round ${round + 1}, ${name}`);
            const { cpuUs, result } = await server.cpuOf(`echo-${bytes}`, () =>
              fleet.load.call('echo', name, { bytes, durationMs, window: WINDOW }),
            );
            results.add(metrics.echoCpu(bytes), name, cpuUs / result.messages);
            results.add(metrics.echoRate(bytes), name, (result.messages / result.elapsedMs) * 1000);
          });
        }
      },
      APART,
    );
  },
};
