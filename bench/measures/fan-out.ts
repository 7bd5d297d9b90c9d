import { CROWD, type ServerOptions } from '../candidates/candidate.js';
import { metrics } from '../metrics.js';
import type { Audience } from '../processes/server.process.js';
import type { Server } from '../processes/server.js';
import { APART, type Bench, type Fleet, interleave, type Measure, withFleet } from './measure.js';

/** The receivers of a message on each node. */
export const RECEIVERS = 1_000;
/** A loop over prepared frames, Socket.IO's broadcast, and the library's send to many connections. */
const ALL_SENDERS = ['bare-ws', 'nest-socket-io', 'isolated-injected'];

/** A message to many connections, and who is measured. */
export interface FanOut {
  /** The name of the work, on the terminal and in profiles. */
  readonly title: string;
  readonly audience: Audience;
  /** Names of candidates. Default: all that can do it on one node. */
  readonly senders?: readonly string[];
  /** Servers of each candidate. The first one sends. Default: one. */
  readonly nodes?: number;
  /** Messages that are sent before the clients have the earlier ones. Default: all of a round. */
  readonly atOnce?: number;
  readonly options?: Omit<ServerOptions, 'connections'>;
}

/** Calls `record` with the processor time of all nodes for each message, in microseconds. */
export async function measureFanOut(
  bench: Bench,
  { title, audience, senders = ALL_SENDERS, nodes = 1, atOnce, options }: FanOut,
  record: (candidate: string, cpuUs: number) => void,
): Promise<void> {
  const { settings } = bench;
  const candidates = settings.candidates.filter(({ name }) => senders.includes(name));
  const messages = settings.isQuick ? 40 : 120;
  const all = candidates.flatMap((candidate) => Array.from({ length: nodes }, () => candidate));
  const started = { ...options, connections: RECEIVERS };
  const work = async ({ servers, load }: Fleet): Promise<void> => {
    for (const { port, candidate, call } of servers) {
      const { name, protocol } = candidate;
      const crowd = { port, protocol, count: RECEIVERS, concurrency: 16 };
      if (audience === 'toCrowd') await call('allowPerUser', RECEIVERS);
      await load.call('open', name, audience === 'toCrowd' ? { ...crowd, userId: CROWD } : crowd);
      if (audience === 'toTopic') await call('joinTopic');
    }
    await interleave(settings.rounds + 1, candidates, async (candidate, round) => {
      const { name } = candidate;
      bench.progress(`${title}, round ${round}, ${name}`);
      const own = servers.filter((server) => server.candidate === candidate);
      const burst = atOnce ?? messages;
      const cpuUs = await cpuOfAll(own, title, async () => {
        for (let sent = 0; sent < messages; sent += burst) {
          await load.call('expect', name, burst * RECEIVERS * nodes);
          await own[0]!.call('fanOut', audience, burst);
          await load.call('received');
        }
      });
      // The first round warms up.
      if (round > 0) record(name, cpuUs / messages);
    });
  };
  // On a core of its own the load never sleeps. Waking it would be part of each write to a client, for all alike.
  await withFleet(bench, all, started, work, APART);
}

async function cpuOfAll(
  [first, ...others]: readonly Server[],
  title: string,
  work: () => Promise<void>,
): Promise<number> {
  if (!first) {
    await work();
    return 0;
  }
  const { cpuUs, result } = await first.cpuOf(title, () => cpuOfAll(others, title, work));
  return cpuUs + result;
}

/** The cost of a message to a thousand connections. */
export const fanOut: Measure = {
  name: 'fan-out',
  run: (bench) =>
    measureFanOut(bench, { title: 'fan-out', audience: 'toCrowd' }, (name, cpuUs) =>
      bench.results.add(metrics.fanOutCpu(), name, cpuUs / 1000),
    ),
};
