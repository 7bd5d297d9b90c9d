import type { ManagerStats } from 'nestjs-websocket-isolation';

import { Client } from '../clients/client.js';
import { sleep } from '../clients/waiting.js';
import type { Check } from './check.js';

const FACTORY_KEYS = [
  'factoryMetrics',
  'configuration',
  'currentState',
  'userDistribution',
  'oldestManagerAgeSeconds',
];
const MANAGER_KEYS = [
  'userContext',
  'managerId',
  'isActive',
  'metrics',
  'connections',
  'recoveryQueueSize',
  'errorCount',
  'lastError',
];

export const statistics: Check = {
  name: 'statistics',
  title: 'Statistics of factory and managers',
  setUp:
    'Three connections of one user and one of another; one closes. Then both kinds of statistics are read, twice.',
  options: {},

  async run({ server, user, criteria }) {
    const clients = await Promise.all(
      [1, 2, 3].map((index) => Client.mustOpen(server.url(user, `read-${index}`))),
    );
    const other = await Client.mustOpen(server.url(`${user}-other`));
    await clients[0]!.close();
    const manager = (await other.ask('statistics')).data as ManagerStats;
    const factory = await server.call('statistics');
    criteria.equal('keys of the factory’s', Object.keys(factory), FACTORY_KEYS);
    criteria.equal('keys of a manager’s', Object.keys(manager), MANAGER_KEYS);
    const { averageManagerLifetimeSeconds, ...counts } = factory.factoryMetrics;
    criteria.equal('counts', counts, {
      managersCreated: 4,
      managersActive: 3,
      managersCleanedUp: 1,
      usersWithActiveManagers: 2,
      resourceLimitHits: 0,
      totalConnectionsManaged: 4,
      securityViolationsDetected: 0,
    });
    criteria.equal('users', factory.userDistribution, { [user]: 2, [`${user}-other`]: 1 });
    criteria.atMost('mean lifetime of the closed', averageManagerLifetimeSeconds, 60, 's');
    criteria.equal('connections of a manager', manager.connections.total, 1);

    await sleep(50);
    const again = await server.call('statistics');
    const isOlder = again.oldestManagerAgeSeconds > factory.oldestManagerAgeSeconds;
    criteria.equal('the oldest, read again, is', isOlder ? 'older' : 'not older', 'older');
    criteria.equal('counts, read again', again.factoryMetrics, factory.factoryMetrics);
    await Promise.all([...clients.slice(1), other].map((client) => client.close()));
  },
};
