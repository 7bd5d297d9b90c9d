import { BootWays, metrics } from '../metrics.js';
import type { BootMethods } from '../processes/boot.process.js';
import { Remote } from '../../lab/remote.js';
import { interleave, type Measure } from './measure.js';

const MODULES = ['boot-nest', 'boot-isolated'] as const;

/** The processor time until an app of twenty gateways listens. Each boot is a process of its own. */
export const boot: Measure = {
  name: 'boot',
  async run(bench) {
    const { settings, results } = bench;
    await interleave(settings.rounds, MODULES, async (module, round) => {
      const way = BootWays[MODULES.indexOf(module)]!;
      bench.progress(`boot, round ${round + 1}, ${way}`);
      const remote = new Remote<BootMethods>(
        new URL('../processes/boot.process.js', import.meta.url),
      );
      try {
        const { sinceStart, ofApp } = await remote.call('boot', module);
        results.add(metrics.bootCpu(), way, sinceStart / 1000);
        results.add(metrics.bootAppCpu(), way, ofApp / 1000);
      } finally {
        await remote.end();
      }
    });
  },
};
