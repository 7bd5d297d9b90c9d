import { MembershipWays, metrics, TopicsEach } from '../metrics.js';
import type { ManagersMethods } from '../processes/managers.process.js';
import { withRedis } from '../processes/redis.js';
import { Remote } from '../../lab/remote.js';
import { type FanOut, measureFanOut, RECEIVERS } from './fan-out.js';
import { type Bench, interleave, type Measure } from './measure.js';

const NODES = 2;
/** The candidates that can have several nodes. */
const CLUSTERED = ['nest-socket-io', 'isolated-injected'];
/** A power of two, as the members of a topic are: both fill the tables that V8 keeps them in. */
const CONNECTIONS = 16_384;
/** So many more that the few hundred KB by which the heap differs between collections do not matter. */
const WEIGHED_CONNECTIONS = 131_072;
/** The heap hardly varies between rounds. */
const MOST_WEIGHINGS = 3;

/** The cost of messages to topics, beside rooms of Socket.IO, and of memberships, beside a map of sets. */
export const topics: Measure = {
  name: 'topics',
  async run(bench) {
    const { results, profiles } = bench;
    await measureFanOut(bench, { title: 'topic', audience: 'toTopic' }, (name, cpuUs) =>
      results.add(metrics.topicCpu(), name, cpuUs / RECEIVERS),
    );
    await withRedis('topics of two nodes', ({ url }) => measureClusters(bench, url));
    // Memberships are no candidate's, so there is no process to profile.
    if (!profiles) await measureMemberships(bench);
  },
};

async function measureClusters(bench: Bench, redisUrl: string): Promise<void> {
  for (const keepsHistory of [false, true]) {
    const fanOut: FanOut = {
      title: keepsHistory ? 'topic-nodes-history' : 'topic-nodes',
      audience: 'toTopic',
      senders: CLUSTERED,
      nodes: NODES,
      // Messages of a burst reach a node together, some of them in one write per client. Here they are single ones.
      atOnce: 1,
      options: { redisUrl, keepsHistory },
    };
    await measureFanOut(bench, fanOut, (name, cpuUs) =>
      bench.results.add(metrics.sharedTopicCpu(keepsHistory), name, cpuUs / RECEIVERS / NODES),
    );
  }
}

async function measureMemberships(bench: Bench): Promise<void> {
  const { settings, results } = bench;
  const module = new URL('../processes/managers.process.js', import.meta.url);
  const remote = new Remote<ManagersMethods>(module, { execArgv: ['--expose-gc'] });
  const passes = settings.isQuick ? 5 : 20;
  const weighings = Math.min(MOST_WEIGHINGS, settings.rounds);
  try {
    await remote.call('start', WEIGHED_CONNECTIONS);
    await interleave(settings.rounds + 1, MembershipWays, async (way, round) => {
      bench.progress(`memberships, round ${round}, ${way}`);
      const { cpuUs } = await remote.call('joinAndLeave', way, CONNECTIONS, passes);
      // The first round warms up.
      if (round > 0) results.add(metrics.membershipCpu(), way, cpuUs);
    });
    await interleave(weighings, MembershipWays, async (way, round) => {
      for (const each of TopicsEach) {
        bench.progress(`memberships, ${each} each, round ${round + 1}, ${way}`);
        const bytes = await remote.call('membershipHeap', way, each);
        results.add(metrics.membershipHeap(each), way, bytes);
      }
    });
  } finally {
    await remote.end();
  }
}
