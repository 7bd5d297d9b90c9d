import { liveManagers, ManagerCounts, metrics } from '../metrics.js';
import type { ManagersMethods } from '../processes/managers.process.js';
import { Remote } from '../../lab/remote.js';
import { interleave, type Measure } from './measure.js';

const CYCLES = 20_000;
const SWEEPS = 20_000;
/**
 * Settings for a heap with a million managers, the same for all counts: a heap large enough for them, and a young
 * generation that is not collected every few thousand operations, because each collection looks at every page of the
 * heap.
 */
const EXEC_ARGV = ['--expose-gc', '--max-old-space-size=8192', '--max-semi-space-size=64'];

/** Checks that the cost per manager does not grow with the number of managers. */
export const managers: Measure = {
  name: 'managers',
  async run(bench) {
    const { settings, results } = bench;
    const module = new URL('../processes/managers.process.js', import.meta.url);
    const processes: { count: number; remote: Remote<ManagersMethods> }[] = [];
    try {
      for (const count of ManagerCounts) {
        bench.progress(`making ${count} managers`);
        const remote = new Remote<ManagersMethods>(module, { execArgv: EXEC_ARGV });
        processes.push({ count, remote });
        await remote.call('start', count);
      }
      await interleave(settings.rounds + 1, processes, async ({ count, remote }, round) => {
        bench.progress(`managers, round ${round}, ${count} live`);
        const cycle = await remote.call('cycle', CYCLES);
        const sweep = await remote.call('sweep', SWEEPS);
        // The first round warms up.
        if (round === 0) return;
        results.add(metrics.cycle(), liveManagers(count), cycle.wallUs);
        results.add(metrics.cycleCpu(), liveManagers(count), cycle.cpuUs);
        results.add(metrics.sweep(), liveManagers(count), sweep.cpuUs);
      });
    } finally {
      await Promise.all(processes.map(({ remote }) => remote.end()));
    }
  },
};
