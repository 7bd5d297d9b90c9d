import { Client } from '../clients/client.js';
import { until } from '../clients/waiting.js';
import type { Server } from '../server/server.js';
import type { WhoAmI } from '../server/validation.gateway.js';
import type { Check, Stage } from './check.js';

/** One of the five cases of the check: the expected number of snapshots, and their expected score in %. */
interface Case {
  readonly title: string;
  readonly snapshots: number;
  readonly score: number;
  readonly run: (server: Server, user: string) => Promise<void>;
}

// Each id is read where it is used: in the message, the registry, the isolation key and the cleanup.
async function whoIs(client: Client): Promise<WhoAmI> {
  return (await client.ask('who-am-i')).data as WhoAmI;
}

async function lifeOf(server: Server, user: string): Promise<void> {
  const thread = `thread-of-${user}`;
  const client = await Client.mustOpen(server.url(user, thread));
  const me = await whoIs(client);
  await server.call('record', { context: me.context });
  await server.call('record', { context: me.context, manager: me.manager });
  await server.call('record', { context: me.service, manager: me.manager });
  // The library itself compares the thread id of this message.
  await client.ask('say', { threadId: thread });
  await server.call('record', { manager: me.manager, key: me.key });
  await endAndRecord(server, client, me);
}

// Compares the thread id that the registry has for the connection with the one that the connection has sent.
async function endAndRecord(server: Server, client: Client, me: WhoAmI): Promise<void> {
  const found = await server.call('lookUp', me.connectionId);
  await server.call('cleanUp', me.connectionId);
  await client.closed;
  await server.call('record', { manager: me.manager, cleanup: found?.threadId ?? 'not found' });
}

const cases: readonly Case[] = [
  {
    title: 'making contexts',
    snapshots: 6,
    score: 100,
    async run(server, user) {
      for (let index = 0; index < 6; index += 1) {
        const thread = `made-${index}`;
        const client = await Client.mustOpen(server.url(user, thread));
        const { context } = await whoIs(client);
        await server.call('record', { context, message: thread });
        await client.close();
      }
    },
  },
  {
    title: 'making managers',
    snapshots: 6,
    score: 100,
    async run(server, user) {
      const client = await Client.mustOpen(server.url(user, 'thread_made_1'));
      const other = await Client.mustOpen(server.url(`${user}-other`, 'with:colon and 50%'));
      const me = await whoIs(client);
      const foreign = await whoIs(other);
      await server.call('record', { context: me.context });
      await server.call('record', { context: me.context, manager: me.manager });
      await server.call('record', { manager: me.manager, key: me.key });
      await server.call('record', { context: foreign.context, key: foreign.key });
      const found = await server.call('lookUp', me.connectionId);
      await server.call('record', { manager: found?.threadId, key: found?.isolationKey });
      await endAndRecord(server, client, me);
      await other.close();
    },
  },
  { title: 'the life of a manager', snapshots: 6, score: 100, run: lifeOf },
  {
    title: 'three users at once',
    snapshots: 18,
    score: 100,
    async run(server, user) {
      await Promise.all([1, 2, 3].map((index) => lifeOf(server, `${user}-${index}`)));
    },
  },
  {
    title: 'going on after a mismatch',
    snapshots: 5,
    score: 80,
    async run(server, user) {
      const client = await Client.mustOpen(server.url(user, 'own'));
      const me = await whoIs(client);
      await server.call('record', { context: me.context });
      await server.call('record', { context: me.context, manager: me.manager });
      await server.call('record', { manager: me.manager, key: me.key });
      await client.ask('say', { threadId: 'foreign' });
      await endAndRecord(server, client, me);
    },
  },
];

export const threadConsistency: Check = {
  name: 'thread-consistency',
  title: 'Thread consistency',
  setUp:
    'Five cases. Each takes snapshots of the thread ids that context, manager, isolation key, message and cleanup have at one moment; the score is the share of those that agree. The last case has one message with another thread on purpose.',
  options: {},

  async run({ server, user, criteria }: Stage) {
    for (const [index, { title, snapshots, score, run }] of cases.entries()) {
      const before = await server.call('consistency');
      await run(server, `${user}-${index}`);
      await until(
        async () => (await server.call('statistics')).currentState.activeManagers === 0,
        5_000,
      );
      const after = await server.call('consistency');
      const taken = after.snapshots - before.snapshots;
      const differing = after.inconsistent - before.inconsistent;
      criteria.equal(`${title}: snapshots`, taken, snapshots);
      criteria.equal(`${title}: score in %`, ((taken - differing) / taken) * 100, score);
    }
  },
};
