import { Client } from '../clients/client.js';
import { sleep } from '../clients/waiting.js';
import type { WhoAmI } from '../server/validation.gateway.js';
import { type Check, PRODUCTION } from './check.js';

const SESSIONS = 10;

export const contextMismatch: Check = {
  name: 'context-mismatch',
  title: 'Ids of another context',
  setUp: `${SESSIONS} sessions, 50 ms apart. Each sends a message with its own thread id and one with another's, and another user asks for its connection.`,
  options: PRODUCTION,

  async run({ server, user, criteria }) {
    const violationsBefore = await server.call('violations');
    const answers: string[] = [];
    const thefts: string[] = [];
    for (let session = 0; session < SESSIONS; session += 1) {
      const client = await Client.mustOpen(server.url(user, `session-${session}`));
      const own = await client.ask('say', { threadId: `session-${session}` });
      const foreign = { [session % 2 ? 'threadId' : 'thread_id']: `database-${session}` };
      const { event, data } = await client.ask('say', foreign);
      answers.push(event === 'exception' ? String((data as { code: unknown }).code) : event);
      const { connectionId } = own.data as WhoAmI;
      thefts.push(await server.call('steal', connectionId, `${user}-thief`));
      await client.close();
      await sleep(50);
    }
    const { mismatches, handled } = await server.call('book', user);
    criteria.equal('sessions', answers.length, SESSIONS);
    criteria.equal('mismatches reported', new Set(mismatches).size, SESSIONS);
    criteria.equal(
      'answered with THREAD_MISMATCH',
      answers.filter((code) => code === 'THREAD_MISMATCH').length,
      SESSIONS,
    );
    criteria.equal('messages that reached a handler', handled, SESSIONS);
    criteria.equal(
      'another user’s requests for the connection refused',
      thefts.filter((code) => code === 'ISOLATION_VIOLATION').length,
      SESSIONS,
    );
    criteria.equal(
      'counted as security violations',
      (await server.call('violations')) - violationsBefore,
      SESSIONS,
    );
    criteria.equal('managers of the other user', await server.call('active', `${user}-thief`), 0);
  },
};
