import { allTogether } from './all-together.js';
import { browserMultiTab } from './browser-multi-tab.js';
import type { Check } from './check.js';
import { cleanupRace } from './cleanup-race.js';
import { coldStartBurst } from './cold-start-burst.js';
import { contextMismatch } from './context-mismatch.js';
import { busy, emergency, evictIdle, proactive, zombies } from './crowds.js';
import { isolation } from './isolation.js';
import { networkReconnection } from './network-reconnection.js';
import { performance } from './performance.js';
import { statistics } from './statistics.js';
import { threadConsistency } from './thread-consistency.js';

/** Checks that run at the same time. Each has its own server. */
export interface Group {
  readonly title: string;
  readonly checks: readonly Check[];
}

export const groups: readonly Group[] = [
  {
    title: 'Production scenarios',
    checks: [
      browserMultiTab,
      coldStartBurst,
      networkReconnection,
      contextMismatch,
      cleanupRace,
      allTogether,
    ],
  },
  {
    title: 'Guarantees',
    checks: [
      proactive,
      zombies,
      busy,
      evictIdle,
      emergency,
      threadConsistency,
      statistics,
      isolation,
    ],
  },
  { title: 'Performance', checks: [performance] },
];
