import { Client } from '../clients/client.js';
import { Line } from '../clients/line.js';
import { sleep, until } from '../clients/waiting.js';
import { type Check, PRODUCTION } from './check.js';

const CYCLES = 15;
const { intervalMs, timeoutMs } = PRODUCTION.heartbeat;
/** The heartbeat interval until the next ping, the timeout without a pong, and a second for a busy machine. */
const FOUND_WITHIN_MS = intervalMs + timeoutMs + 1_000;

export const networkReconnection: Check = {
  name: 'network-reconnection',
  title: 'Network that comes and goes',
  setUp: `${CYCLES} cycles of one user: connect, 200 ms, the line goes dead without a close frame or a reset, 100 ms.`,
  options: PRODUCTION,

  async run({ server, user, criteria }) {
    const lines: Line[] = [];
    let refused = 0;
    for (let cycle = 0; cycle < CYCLES; cycle += 1) {
      const line = await Line.open(server.port);
      lines.push(line);
      const client = await Client.open(server.url(user, `cycle-${cycle}`, line.port));
      if (!(client instanceof Client)) refused += 1;
      await sleep(200);
      line.cut();
      await sleep(100);
    }
    const foundAfterMs = await until(
      async () => (await server.call('active', user)) === 0,
      FOUND_WITHIN_MS + 5_000,
    );
    const { created, removed } = await server.call('book', user);
    criteria.equal('refused', refused, 0);
    criteria.equal('created', created.length, CYCLES);
    criteria.atMost('none left after the last cut, within', foundAfterMs, FOUND_WITHIN_MS, 'ms');
    // Found by their silence: as zombies, or as stale if a cleanup job runs first.
    const causes = new Set(removed.map(({ cause }) => cause));
    causes.delete('stale');
    criteria.equal(
      'found by cleanup',
      new Set(removed.map(({ connectionId }) => connectionId)).size,
      CYCLES,
    );
    criteria.equal('found as', [...causes], ['zombie']);
    for (const line of lines) line.close();
  },
};
