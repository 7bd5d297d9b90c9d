import { AskWays, metrics, RequestWays } from '../metrics.js';
import type { Server } from '../processes/server.js';
import {
  APART,
  type Bench,
  connectClients,
  interleave,
  type Measure,
  withFleet,
} from './measure.js';

const CONNECTIONS = 64;
const BYTES = 64;

const [ECHO, REQUEST, EMIT_WITH_ACK] = RequestWays;
/** Which candidate takes which way. */
const REQUESTS = [
  { way: ECHO, name: 'isolated-injected', kind: 'echo' },
  { way: REQUEST, name: 'isolated-injected', kind: 'request' },
  { way: EMIT_WITH_ACK, name: 'nest-socket-io', kind: 'request' },
] as const;
const [BY_HAND, ASK] = AskWays;
const ASKS = [
  { way: BY_HAND, name: 'bare-ws' },
  { way: ASK, name: 'isolated-injected' },
] as const;
const CANDIDATES = new Set(['bare-ws', 'nest-socket-io', 'isolated-injected']);

/** Whether the candidate of a way is measured: with `--profile` only one is. */
function found<Way extends { readonly name: string }>(
  ways: readonly Way[],
  servers: readonly Server[],
): (Way & { readonly server: Server })[] {
  return ways.flatMap((way) => {
    const server = servers.find(({ candidate }) => candidate.name === way.name);
    return server ? [{ ...way, server }] : [];
  });
}

/** The server's cost of a request and its reply, and of a question and its answer. */
export const calls: Measure = {
  name: 'calls',
  async run(bench: Bench) {
    const { settings, results } = bench;
    const candidates = settings.candidates.filter(({ name }) => CANDIDATES.has(name));
    await withFleet(
      bench,
      candidates,
      { connections: CONNECTIONS },
      async (fleet) => {
        const { servers, load } = fleet;
        await connectClients(fleet, CONNECTIONS);
        const durationMs = settings.isQuick ? 200 : 600;
        await interleave(settings.rounds + 1, found(REQUESTS, servers), async (request, round) => {
          const { way, name, kind, server } = request;
          bench.progress(`requests, round ${round}, ${way}`);
          const options = { bytes: BYTES, durationMs, window: 1, kind };
          const { cpuUs, result } = await server.cpuOf(`${kind}s`, () =>
            load.call('echo', name, options),
          );
          // The first round warms up.
          if (round > 0) results.add(metrics.requestCpu(), way, cpuUs / result.messages);
        });
        const each = settings.isQuick ? 100 : 300;
        await interleave(settings.rounds + 1, found(ASKS, servers), async (ask, round) => {
          const { way, name, server } = ask;
          bench.progress(`questions, round ${round}, ${way}`);
          await load.call('answerAll', name);
          const { cpuUs } = await server.cpuOf('questions', () => server.call('askAll', each));
          if (round > 0) results.add(metrics.askCpu(), way, cpuUs / each / CONNECTIONS);
        });
      },
      APART,
    );
  },
};
