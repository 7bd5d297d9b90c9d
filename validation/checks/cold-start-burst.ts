import { Client, type Refused } from '../clients/client.js';
import { sleep } from '../clients/waiting.js';
import { type Check, PRODUCTION, TALK_MS } from './check.js';

const ATTEMPTS = 25;
const PER_SECOND = 15;
const LIMIT = 20;

export const coldStartBurst: Check = {
  name: 'cold-start-burst',
  title: 'Burst after a cold start',
  setUp: `A new process, and ${ATTEMPTS} connections of one user at ${PER_SECOND} a second. Then one closes, and another comes.`,
  options: PRODUCTION,

  async run({ server, user, criteria }) {
    const attempts: Promise<Client | Refused>[] = [];
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      attempts.push(openAndTalk(server.url(user, `burst-${attempt}`)));
      await sleep(1_000 / PER_SECOND);
    }
    const answers = await Promise.all(attempts);
    const accepted = answers.filter((answer) => answer instanceof Client);
    const refused = answers.filter((answer): answer is Refused => !(answer instanceof Client));
    criteria.equal('accepted', accepted.length, LIMIT);
    criteria.equal('refused', refused.length, ATTEMPTS - LIMIT);
    criteria.equal(
      'refused with the limit error',
      refused.filter((refusal) => isLimitError(refusal)).length,
      ATTEMPTS - LIMIT,
    );
    criteria.equal('managers', await server.call('active', user), LIMIT);

    await accepted[0]?.close();
    const startedAt = performance.now();
    const next = await openAndTalk(server.url(user, 'next'));
    criteria.equal('the next one, after one has closed', nameOf(next), 'accepted');
    criteria.atMost('which it is within', performance.now() - startedAt, 1_000, 'ms');
    const { removed } = await server.call('book', user);
    criteria.equal('removed by cleanup', removed.length, 0);

    const open = [...accepted, next].filter((answer) => answer instanceof Client);
    await Promise.all(open.map((client) => client.close()));
  },
};

async function openAndTalk(url: string): Promise<Client | Refused> {
  const answer = await Client.open(url);
  if (answer instanceof Client) answer.keepTalking(TALK_MS);
  return answer;
}

function nameOf(answer: Client | Refused): string {
  return answer instanceof Client ? 'accepted' : `refused with ${answer.status}`;
}

// The contract: status 429, the time to wait before a retry, and the reason `user-limit`.
function isLimitError({ status, retryAfter, body }: Refused): boolean {
  const { reason, retryAfterMs } = JSON.parse(body) as { reason?: string; retryAfterMs?: number };
  return (
    status === 429 && Number(retryAfter) > 0 && reason === 'user-limit' && Number(retryAfterMs) > 0
  );
}
