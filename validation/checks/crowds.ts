import { Client, type Refused } from '../clients/client.js';
import { sleep, until } from '../clients/waiting.js';
import type { Disposal, WhoAmI } from '../server/validation.gateway.js';
import { type Check, type Stage, TALK_MS } from './check.js';

const STALE_MS = 2_500;
/** No job runs during a check, so every removal is caused by an arrival. */
const NO_JOBS = { proactiveIntervalMs: 600_000, emergencyIntervalMs: 600_000 };

function openMany({ server, user }: Stage, count: number, autoPong = true): Promise<Client[]> {
  return Promise.all(
    Array.from({ length: count }, (_, index) =>
      Client.mustOpen(server.url(user, `crowd-${index}`), { autoPong }),
    ),
  );
}

async function timed(stage: Stage): Promise<{ answer: Client | Refused; tookMs: number }> {
  const startedAt = performance.now();
  const answer = await Client.open(stage.server.url(stage.user, 'one-more'));
  return { answer, tookMs: performance.now() - startedAt };
}

function nameOf(answer: Client | Refused): string {
  return answer instanceof Client ? 'accepted' : `refused with ${answer.status}`;
}

async function closeAll(clients: readonly (Client | Refused)[]): Promise<void> {
  const open = clients.filter((client) => client instanceof Client);
  await Promise.all(open.filter(({ isOpen }) => isOpen).map((client) => client.close()));
}

export const proactive: Check = {
  name: 'proactive-cleanup',
  title: 'Proactive cleanup at 12 of 20',
  setUp: '12 connections of one user, six of them stale. Then a 13th.',
  options: { cleanup: { ...NO_JOBS, staleAfterMs: STALE_MS } },

  async run(stage) {
    const { server, user, criteria } = stage;
    const stale = await openMany(stage, 6);
    await sleep(STALE_MS + 100);
    const fresh = await openMany(stage, 6);
    criteria.equal('managers before', await server.call('active', user), 12);
    const { answer } = await timed(stage);
    criteria.equal('the 13th', nameOf(answer), 'accepted');
    criteria.equal('managers after', await server.call('active', user), 7);
    await Promise.all(stale.map(({ closed }) => closed));
    criteria.equal(
      'stale ones closed with 4440',
      stale.filter(({ closeCode }) => closeCode === 4440).length,
      6,
    );
    criteria.equal('others untouched', fresh.filter(({ isOpen }) => isOpen).length, 6);
    await closeAll([...fresh, answer]);
  },
};

export const zombies: Check = {
  name: 'zombies',
  title: 'Emergency: zombies at the limit',
  setUp: '20 connections of one user, five of which do not answer pings. Then a 21st.',
  options: { cleanup: NO_JOBS },

  async run(stage) {
    const { server, user, criteria } = stage;
    const live = await openMany(stage, 15);
    const silent = await openMany(stage, 5, false);
    const { answer, tookMs } = await timed(stage);
    criteria.equal('the 21st', nameOf(answer), 'accepted');
    criteria.atMost('which it is within probeTimeoutMs + 1 s', tookMs, 3_000, 'ms');
    await until(() => silent.every(({ isOpen }) => !isOpen), 5_000);
    criteria.equal('live ones untouched', live.filter(({ isOpen }) => isOpen).length, 15);
    const { removed } = await server.call('book', user);
    criteria.equal(
      'removed',
      removed.map(({ cause, code }) => `${cause} ${code}`),
      Array.from({ length: 5 }, () => 'zombie 4443'),
    );
    await closeAll([...live, answer]);
  },
};

export const busy: Check = {
  name: 'busy',
  title: 'Emergency: everybody live and busy',
  setUp:
    '20 connections of one user, all talking, half of them with work in progress. Then a 21st; one closes; then another.',
  options: { cleanup: NO_JOBS },

  async run(stage) {
    const { server, user, criteria } = stage;
    const clients = await openMany(stage, 20);
    for (const client of clients) client.keepTalking(TALK_MS);
    await Promise.all(clients.slice(10).map((client) => client.ask('start-work')));
    const { answer, tookMs } = await timed(stage);
    criteria.equal('the 21st', nameOf(answer), 'refused with 429');
    criteria.atMost('which it is within', tookMs, 1_000, 'ms');
    criteria.equal('managers', await server.call('active', user), 20);
    criteria.equal('removed', (await server.call('book', user)).removed.length, 0);
    await clients[0]!.close();
    const next = await timed(stage);
    criteria.equal('the next one, after one has closed', nameOf(next.answer), 'accepted');
    await closeAll([...clients, next.answer]);
  },
};

export const evictIdle: Check = {
  name: 'evict-idle',
  title: 'Emergency: a newcomer replaces the idle',
  setUp:
    "20 connections of one user with `limits.overflow: 'evict-idle'`: the first has work in progress, the second is silent, the others talk. Then a 21st.",
  options: { cleanup: NO_JOBS, limits: { overflow: 'evict-idle' } },

  async run(stage) {
    const { server, user, criteria } = stage;
    const [worker, silent, ...talking] = await openMany(stage, 20);
    await worker!.ask('start-work');
    await silent!.ask('who-am-i');
    await Promise.all(talking.map((client) => client.ask('who-am-i')));
    const { answer } = await timed(stage);
    criteria.equal('the 21st', nameOf(answer), 'accepted');
    criteria.equal('the silent one closed with', await silent!.closed, 4409);
    const others = [worker!, ...talking];
    criteria.equal('others untouched', others.filter(({ isOpen }) => isOpen).length, 19);
    criteria.equal('managers', await server.call('active', user), 20);
    await closeAll([...others, answer]);
  },
};

const EMERGENCY_TIMEOUT_MS = 3_000;
const disposals: readonly Disposal[] = ['hangs', 'throws', 'rejects', 'takes its time'];

export const emergency: Check = {
  name: 'emergency-cleanup',
  title: 'Emergency: disposers that misbehave',
  setUp: `20 stale connections of one user whose disposers hang, throw, reject, or take 100 ms. Then a 21st. The deadline of a cleanup is ${EMERGENCY_TIMEOUT_MS} ms here, that of a disposer 5 s.`,
  options: {
    cleanup: { ...NO_JOBS, staleAfterMs: STALE_MS, emergencyTimeoutMs: EMERGENCY_TIMEOUT_MS },
  },

  async run(stage) {
    const { server, criteria } = stage;
    const clients = await openMany(stage, 20);
    const hanging: string[] = [];
    for (const [index, client] of clients.entries()) {
      const disposal = disposals[index % disposals.length]!;
      const me = (await client.ask('who-am-i')).data as WhoAmI;
      if (disposal === 'hangs') hanging.push(me.connectionId);
      await client.ask('dispose', disposal);
    }
    await sleep(STALE_MS + 100);
    const { answer, tookMs } = await timed(stage);
    criteria.equal('the 21st', nameOf(answer), 'accepted');
    criteria.atMost('which it is within', tookMs, 10_000, 'ms');
    await until(async () => (await server.call('cleanups')).length > 0, 10_000);
    const [report] = await server.call('cleanups');
    criteria.equal('removed', report?.removed, 20);
    criteria.atMost('the cleanup ended after', report?.durationMs ?? Infinity, 10_000, 'ms');
    criteria.equal('abandoned, by name', report?.abandoned.toSorted(), hanging.toSorted());
    await closeAll([answer]);
  },
};
