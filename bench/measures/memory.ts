import type { Candidate } from '../candidates/candidate.js';
import { metrics } from '../metrics.js';
import { ManyConnections } from '../processes/many.js';
import type { Memory } from '../processes/server.process.js';
import type { Profiles } from '../profile/profiles.js';
import { type Bench, interleave, type Measure } from './measure.js';

/** Memory hardly varies between rounds, so more of them would only take longer. */
const MOST_ROUNDS = 2;
/** The number of connections for a heap snapshot. */
const PROFILED = 1_000;

/** The memory of an idle connection. */
export const memory: Measure = {
  name: 'memory',
  async run(bench) {
    const { settings, profiles } = bench;
    if (profiles) {
      await profile(settings.candidates[0]!, profiles);
      return;
    }
    const rounds = Math.min(MOST_ROUNDS, settings.rounds);
    for (const connections of settings.idle) {
      await interleave(rounds, settings.candidates, async (candidate, round) => {
        bench.progress(`${connections} idle, round ${round + 1}, ${candidate.name}`);
        await weigh(bench, candidate, connections);
      });
    }
  },
};

async function weigh({ results }: Bench, candidate: Candidate, connections: number) {
  const many = await ManyConnections.start(candidate, connections);
  try {
    await many.warmUp();
    const before = await weightOf(many);
    await many.open();
    const open = await weightOf(many);
    await many.echoOnce();
    const used = await weightOf(many);
    const perConnection = (bytes: number): number => bytes / connections / 1000;
    const { name } = candidate;
    results.add(metrics.idleHeap(connections), name, perConnection(open.heap - before.heap));
    results.add(metrics.idleRss(connections), name, perConnection(open.rss - before.rss));
    results.add(metrics.usedHeap(connections), name, perConnection(used.heap - before.heap));
  } finally {
    await many.end();
  }
}

async function weightOf(many: ManyConnections): Promise<Memory> {
  const weights = await Promise.all(many.shares.map(({ server }) => server.call('memory')));
  return {
    heap: weights.reduce((sum, { heap }) => sum + heap, 0),
    rss: weights.reduce((sum, { rss }) => sum + rss, 0),
  };
}

async function profile(candidate: Candidate, profiles: Profiles): Promise<void> {
  const many = await ManyConnections.start(candidate, PROFILED);
  try {
    await many.warmUp();
    const { server } = many.shares[0]!;
    const before = await server.call('heapByType');
    await many.open();
    const open = await server.call('heapByType');
    await many.echoOnce();
    const used = await server.call('heapByType');
    profiles.addHeap('Idle', before, open, PROFILED);
    profiles.addHeap('After one message each', before, used, PROFILED);
  } finally {
    await many.end();
  }
}
