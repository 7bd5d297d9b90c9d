import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { createClient } from 'redis';

import { TestRedis } from '../support/redis.js';
import { LocalNode } from './local-node.js';

let redis: TestRedis;

beforeAll(async () => {
  redis = await TestRedis.start();
});

afterAll(() => redis.stop());

const connections: [string, (database: number) => RedisClusterOptions][] = [
  ['its address', (database) => ({ url: `${redis.url}/${database}` })],
  ['a client with an address', (db) => ({ client: createClient({ url: `${redis.url}/${db}` }) })],
  [
    'a client with an option',
    (database) => ({ client: createClient({ url: redis.url, database }) }),
  ],
];

describe.each(connections)('two apps in two databases of one Redis, by %s', (user, into) => {
  it('listen on channels that name the database, and share nothing', async () => {
    const apps = [
      await LocalNode.start(into(0), { limits: { maxManagersPerUser: 1 }, resume: {} }),
      await LocalNode.start(into(1), { limits: { maxManagersPerUser: 1 }, resume: {} }),
    ] as const;
    try {
      await Promise.all(apps.map((app) => app.becomes('up')));
      const channels = (await redis.command('PUBSUB', 'CHANNELS', 'wsi:*')) as string[];
      expect(channels.toSorted()).toEqual(
        apps.map(({ status }, database) => `wsi:node@${database}:${status.nodeId}`),
      );
      const clients = [await apps[0].connect(user), await apps[1].connect(user)] as const;
      expect(apps.map((app) => app.status.nodes.length)).toEqual([1, 1]);

      const [here] = clients;
      apps[1].emitter.toUser(user).send('news', 1);
      apps[0].emitter.toUser(user).send('news', 2);
      expect(await here.next('news')).toMatchObject({ data: 2 });
      await apps[1].factory.disconnectUser(user);
      expect(apps.map((app) => app.live(user))).toEqual([1, 0]);
    } finally {
      await Promise.all(apps.map((app) => app.close()));
    }
  });
});
