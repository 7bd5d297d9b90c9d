import { metrics, SlotCycleWays, SlotWays } from '../metrics.js';
import { Remote } from '../../lab/remote.js';
import { type BenchRedis, withRedis } from '../processes/redis.js';
import type { SlotsMethods } from '../processes/slots.process.js';
import { percentile } from '../statistics.js';
import { type Bench, interleave, type Measure } from './measure.js';

/** Arrivals that wait for Redis at the same time. */
const AT_ONCE = 100;
const RENEWED = 100_000;

const [SET, SLOT] = SlotWays;
const contenders = [
  { name: SET, step: 'set' },
  { name: SLOT, step: 'acquire' },
] as const;

const [SET_AND_DEL, SLOT_CYCLE] = SlotCycleWays;
const cycles = [
  { name: SET_AND_DEL, step: 'setAndDelete' },
  { name: SLOT_CYCLE, step: 'acquireAndRelease' },
] as const;

/** The cost of a cluster: taking slots over one Redis, compared with a plain SET. */
export const slots: Measure = {
  name: 'slots',
  run: (bench) => withRedis('slots', (redis) => measureSlots(bench, redis)),
};

async function measureSlots(bench: Bench, redis: BenchRedis): Promise<void> {
  const { settings, results } = bench;
  const count = settings.isQuick ? 5_000 : 20_000;
  const node = new Remote<SlotsMethods>(new URL('../processes/slots.process.js', import.meta.url));
  try {
    await node.call('start', redis.url);
    // The first round warms up.
    await interleave(settings.rounds + 1, contenders, async ({ name, step }, round) => {
      bench.progress(`slots, round ${round}, ${name}`);
      const [cpuBefore, bytesBefore] = [await redis.cpu(), await redis.bytes()];
      const cost = await node.call('rate', step, count, AT_ONCE);
      const redisUs = (await redis.cpu()) - cpuBefore;
      const bytes = (await redis.bytes()) - bytesBefore;
      const waits = await node.call('latencies', step, count / 10);
      await node.call('release');
      if (round === 0) return;
      results.add(metrics.slotRate(AT_ONCE), name, 1e6 / cost.wallUs);
      results.add(metrics.slotCpu(), name, cost.cpuUs);
      results.add(metrics.slotRedisCpu(), name, redisUs / count);
      results.add(metrics.slotRedisBytes(), name, bytes / count);
      results.add(metrics.slotLatency('p50'), name, percentile(waits, 0.5));
      results.add(metrics.slotLatency('p99'), name, percentile(waits, 0.99));
    });
    await interleave(settings.rounds + 1, cycles, async ({ name, step }, round) => {
      bench.progress(`slots, round ${round}, ${name}`);
      const { cpuUs } = await node.call('rate', step, count, AT_ONCE);
      if (round > 0) results.add(metrics.slotCycleCpu(), name, cpuUs);
    });
    await node.call('rate', 'acquire', RENEWED, AT_ONCE);
    const rounds = [
      { name: SET, run: () => node.call('rate', 'set', RENEWED, AT_ONCE) },
      { name: SLOT, run: () => node.call('renew') },
    ];
    await interleave(settings.rounds + 1, rounds, async ({ name, run }, round) => {
      bench.progress(`slots, renewing ${RENEWED}, round ${round}`);
      const before = await redis.cpu();
      const { wallUs, cpuUs } = await run();
      const redisUs = (await redis.cpu()) - before;
      if (round === 0) return;
      results.add(metrics.renewalRedisCpu(RENEWED), name, redisUs / 1000);
      results.add(metrics.renewal(RENEWED), name, (wallUs * RENEWED) / 1000);
      results.add(metrics.renewalCpu(RENEWED), name, (cpuUs * RENEWED) / 1000);
    });
  } finally {
    await node.end();
  }
}
