import { metrics } from '../metrics.js';
import { openAndWarmUp } from './echo.js';
import { APART, interleave, type Measure, withFleet } from './measure.js';

const PER_SECOND = 2_000;
const BYTES = 64;
/** Each round is long enough for its own percentiles, so few rounds are enough. */
const MOST_ROUNDS = 5;

/** The latency of an echo at a rate that every candidate can sustain. */
export const latency: Measure = {
  name: 'latency',
  async run(bench) {
    const { settings, results } = bench;
    const durationMs = settings.isQuick ? 500 : 1_500;
    await withFleet(
      bench,
      settings.candidates,
      { connections: 64 },
      async (fleet) => {
        await openAndWarmUp(bench, fleet);
        await interleave(
          Math.min(MOST_ROUNDS, settings.rounds),
          fleet.servers,
          async (server, round) => {
            const { name } = server.candidate;
            bench.progress(`latency, round ${round + 1}, ${name}`);
            const run = { bytes: BYTES, perSecond: PER_SECOND, durationMs };
            const { result } = await server.cpuOf('latency', () =>
              fleet.load.call('latency', name, run),
            );
            results.add(metrics.latency('p50', PER_SECOND), name, result.p50);
            results.add(metrics.latency('p99', PER_SECOND), name, result.p99);
          },
        );
      },
      APART,
    );
  },
};
