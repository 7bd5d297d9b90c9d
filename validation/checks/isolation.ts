import { Client } from '../clients/client.js';
import { until } from '../clients/waiting.js';
import type { WhoAmI } from '../server/validation.gateway.js';
import type { Check } from './check.js';

const USERS = 10;
const CONNECTIONS = 3;
const MESSAGES = 50;
/** User and thread ids that would collide if keys were concatenated without escaping. */
const ALIKE = [
  ['a:b', 'c'],
  ['a', 'b:c'],
  ['a%3Ab', 'c'],
  ['a%', '3Ab:c'],
] as const;

export const isolation: Check = {
  name: 'isolation',
  title: 'Isolation between connections',
  setUp: `${USERS} users with ${CONNECTIONS} connections each say ${MESSAGES} things, all at once; four users whose ids contain \`:\` and \`%\` get news; somebody calls for the singleton.`,
  options: {},

  async run({ server, user, criteria }) {
    const talks = await Promise.all(
      Array.from({ length: USERS * CONNECTIONS }, async (_, index) => {
        const own = `${user}-${index % USERS}`;
        const client = await Client.mustOpen(server.url(own, `thread-${index}`));
        const said: (WhoAmI & { data: unknown })[] = [];
        for (let message = 0; message < MESSAGES; message += 1) {
          said.push((await client.ask('say', { index, message })).data as (typeof said)[0]);
        }
        const isOwn = ({ userId, context, manager, service, data }: (typeof said)[0], at: number) =>
          userId === own &&
          [context, manager, service].every((thread) => thread === `thread-${index}`) &&
          JSON.stringify(data) === JSON.stringify({ index, message: at });
        return { client, said, foreign: said.filter((answer, at) => !isOwn(answer, at)).length };
      }),
    );
    const all = talks.flatMap(({ said }) => said);
    const connections = USERS * CONNECTIONS;
    criteria.equal('messages answered', all.length, connections * MESSAGES);
    criteria.equal(
      'answers that were another’s',
      talks.reduce((sum, talk) => sum + talk.foreign, 0),
      0,
    );
    criteria.equal('managers', new Set(all.map(({ managerId }) => managerId)).size, connections);
    criteria.equal(
      'scoped services',
      new Set(all.map(({ serviceId }) => serviceId)).size,
      connections,
    );

    const alike = await Promise.all(
      ALIKE.map(([userId, threadId]) => Client.mustOpen(server.url(userId, threadId))),
    );
    const keys = await Promise.all(
      alike.map(async (client) => ((await client.ask('who-am-i')).data as WhoAmI).key),
    );
    criteria.equal('isolation keys of ids that look alike', new Set(keys).size, ALIKE.length);
    for (const [userId] of ALIKE) await server.call('toUser', userId, userId);
    await until(() => alike.every(({ received }) => received.length > 1), 5_000);
    criteria.equal(
      'news for each of them',
      alike.map(({ received }) =>
        received.filter(({ event }) => event === 'news').map(({ data }) => data),
      ),
      ALIKE.map(([userId]) => [userId]),
    );
    criteria.equal('getWebSocketManager()', await server.call('singleton'), 'SINGLETON_ACCESS');
    await Promise.all(
      [...talks.map(({ client }) => client), ...alike].map((client) => client.close()),
    );
  },
};
