import { Criteria } from '../criteria.js';
import { browserMultiTab } from './browser-multi-tab.js';
import { type Check, PRODUCTION } from './check.js';
import { cleanupRace } from './cleanup-race.js';
import { coldStartBurst } from './cold-start-burst.js';
import { contextMismatch } from './context-mismatch.js';
import { networkReconnection } from './network-reconnection.js';

const scenarios: readonly Check[] = [
  browserMultiTab,
  coldStartBurst,
  networkReconnection,
  contextMismatch,
  cleanupRace,
];

export const allTogether: Check = {
  name: 'all-together',
  title: 'All of it at once',
  setUp: 'The five scenarios above at the same time, on one server, each its own user.',
  options: PRODUCTION,

  async run({ server, user, criteria, random }) {
    await Promise.all(
      scenarios.map(async (scenario) => {
        const own = new Criteria(({ what, expected, measured, holds }) =>
          criteria.add({ what: `${scenario.title}: ${what}`, expected, measured, holds }),
        );
        await scenario.run({ server, user: `${user}-${scenario.name}`, criteria: own, random });
      }),
    );
  },
};
