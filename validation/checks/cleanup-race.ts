import { Client } from '../clients/client.js';
import { sleep, until } from '../clients/waiting.js';
import { type Check, PRODUCTION, TALK_MS } from './check.js';

const EVERY_MS = 500;
const FOR_MS = 10_000;
const SILENT = FOR_MS / EVERY_MS;
const LIVE = 5;
const STALE_WITHIN_MS = PRODUCTION.cleanup.staleAfterMs + 2_000;

export const cleanupRace: Check = {
  name: 'cleanup-race',
  title: 'Cleanup racing with arrivals',
  setUp: `A connection every ${EVERY_MS} ms for ${FOR_MS / 1_000} s, each silent until it is stale, beside ${LIVE} that keep talking; sweeps run one after the other all the time, and both jobs every 100 ms.`,
  options: PRODUCTION,

  async run({ server, user, criteria }) {
    await server.call('sweep', true);
    const live = await Promise.all(
      Array.from({ length: LIVE }, (_, index) => openLive(server.url(user, `live-${index}`))),
    );
    const silent: Client[] = [];
    for (let index = 0; index < SILENT; index += 1) {
      silent.push(await Client.mustOpen(server.url(user, `silent-${index}`)));
      await sleep(EVERY_MS);
    }
    const lastMs = await until(
      async () => (await server.call('active', user)) <= LIVE,
      STALE_WITHIN_MS,
    );
    const sweeps = await server.call('sweep', false);
    const { created, removed } = await server.call('book', user);
    const ids = removed.map(({ connectionId }) => connectionId);
    criteria.equal('created', created.length, SILENT + LIVE);
    criteria.equal('removed', new Set(ids).size, SILENT);
    criteria.equal('removed more than once', ids.length - new Set(ids).size, 0);
    const codes = await Promise.all(silent.map(({ closed }) => closed));
    criteria.equal('closed with 4440', codes.filter((code) => code === 4440).length, SILENT);
    criteria.equal('live ones untouched', live.filter(({ isOpen }) => isOpen).length, LIVE);
    criteria.atMost('the last one gone within', lastMs, STALE_WITHIN_MS, 'ms');
    criteria.equal(
      'sweeps while they came',
      sweeps > SILENT ? 'more than arrivals' : sweeps,
      'more than arrivals',
    );
    await Promise.all(live.map((client) => client.close()));
  },
};

async function openLive(url: string): Promise<Client> {
  const client = await Client.mustOpen(url);
  client.keepTalking(TALK_MS);
  return client;
}
