import type { Check } from './check.js';

const MANAGERS = 10_000;

export const performance: Check = {
  name: 'performance',
  title: 'Performance',
  setUp: `${MANAGERS} managers without sockets are made, swept over with nothing to remove, and removed, in a process that has nothing else to do. Processor time and heap are those of that process, after a warm-up.`,
  isMeasurement: true,
  options: {
    limits: { maxManagers: MANAGERS },
    cleanup: { unattachedAfterMs: 600_000 },
  },

  async run({ server, criteria }) {
    const costs = await server.call('costs', MANAGERS);
    criteria.atMost('processor time to make one', costs.creationUs, 200, 'µs');
    criteria.atMost('heap that one holds', costs.bytesEach, 8_192, 'bytes');
    criteria.atMost('processor time of a sweep with nothing to do', costs.idleSweepUs, 1_000, 'µs');
    criteria.atMost('processor time to remove one', costs.removalUs, 500, 'µs');
    criteria.atMost('heap that each left behind', costs.bytesLeftEach, 64, 'bytes');
  },
};
