import { CROWD } from '../candidates/candidate.js';
import { metrics } from '../metrics.js';
import { interleave, type Measure, withFleet } from './measure.js';

const RECEIVERS = 1_000;
/** A loop over prepared frames, Socket.IO's broadcast, and the library's send to all connections of a user. */
const SENDERS = new Set(['bare-ws', 'nest-socket-io', 'isolated-injected']);

/** The cost of a message to a thousand connections. */
export const fanOut: Measure = {
  name: 'fan-out',
  async run(bench) {
    const { settings, results } = bench;
    const candidates = settings.candidates.filter(({ name }) => SENDERS.has(name));
    const messages = settings.isQuick ? 40 : 120;
    await withFleet(bench, candidates, RECEIVERS, async ({ servers, load }) => {
      for (const { port, candidate, call } of servers) {
        await call('allowPerUser', RECEIVERS);
        const { name, protocol } = candidate;
        const crowd = { port, protocol, count: RECEIVERS, concurrency: 16, userId: CROWD };
        await load.call('open', name, crowd);
      }
      await interleave(settings.rounds + 1, servers, async (server, round) => {
        const { name } = server.candidate;
        bench.progress(`fan-out, round ${round}, ${name}`);
        await load.call('expect', name, messages * RECEIVERS);
        const { cpuUs } = await server.cpuOf('fan-out', async () => {
          await server.call('fanOut', messages);
          await load.call('received');
        });
        // The first round warms up.
        if (round > 0) results.add(metrics.fanOutCpu(), name, cpuUs / messages / 1000);
      });
    });
  },
};
