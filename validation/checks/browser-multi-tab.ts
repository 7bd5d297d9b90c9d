import { Client } from '../clients/client.js';
import { sleep, until } from '../clients/waiting.js';
import { choose } from '../random.js';
import { type Check, PRODUCTION, TALK_MS } from './check.js';

const TABS = 8;
const CLOSED = 3;

export const browserMultiTab: Check = {
  name: 'browser-multi-tab',
  title: 'Browser with many tabs',
  setUp: `${TABS} tabs of one user, 100 ms apart; ${CLOSED} of them, chosen at random, are closed.`,
  options: PRODUCTION,

  async run({ server, user, criteria, random }) {
    const tabs: Client[] = [];
    for (let tab = 0; tab < TABS; tab += 1) {
      const client = await Client.mustOpen(server.url(user, `tab-${tab}`));
      client.keepTalking(TALK_MS);
      tabs.push(client);
      await sleep(100);
    }
    await Promise.all(choose(random, tabs, CLOSED).map((tab) => tab.close()));
    await until(async () => (await server.call('book', user)).disposed.length >= CLOSED, 5_000);

    const book = await server.call('book', user);
    criteria.equal('managers', await server.call('active', user), TABS - CLOSED);
    criteria.equal('created', new Set(book.created).size, TABS);
    criteria.equal('disposed', new Set(book.disposed).size, CLOSED);
    criteria.equal('tabs still open', tabs.filter(({ isOpen }) => isOpen).length, TABS - CLOSED);
    criteria.equal('removed by cleanup', book.removed.length, 0);
    await Promise.all(tabs.filter(({ isOpen }) => isOpen).map((tab) => tab.close()));
  },
};
