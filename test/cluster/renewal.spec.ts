import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Cluster, type ClusterLease, systemClock } from 'nestjs-websocket-isolation';
import { redisCluster } from 'nestjs-websocket-isolation/redis';

import { Random } from '../support/malformed.js';
import { TestRedis } from '../support/redis.js';
import { SEED } from '../support/seed.js';

const USERS = 500;
const SLOTS_OF_A_USER = 2;
const SLOTS = USERS * SLOTS_OF_A_USER;
/** Long enough that no renewal begins by itself, and no lease ends. */
const TIMES = { leaseMs: 3_600_000, renewMs: 1_200_000, commandTimeoutMs: 600_000 };
/** At most this many leases are extended by one command. */
const TOGETHER = 200;

describe('a renewal', () => {
  let redis: TestRedis;
  let cluster: Cluster;
  let leases: ClusterLease[];
  let lost: string[];

  beforeEach(async () => {
    redis = await TestRedis.start();
    [leases, lost] = [[], []];
    const made = redisCluster({ url: redis.url, ...TIMES, acquireTimeoutMs: 600_000 });
    cluster = made.create({ clock: systemClock, journal: { record: () => undefined } });
    cluster.slots.useHolder({
      limit: 20,
      overflow: 'reject',
      probeTimeoutMs: 1,
      lost: (connectionId) => lost.push(connectionId),
      rescue: () => Promise.resolve([]),
    });
    await cluster.join();
    for (let slot = 0; slot < SLOTS; slot += 1) {
      leases.push(cluster.slots.lease(`user-${slot % USERS}`, `conn_${slot}`));
    }
    const answers = await Promise.all(leases.map(({ answer }) => answer));
    expect(new Set(answers)).toEqual(new Set(['held']));
  });
  afterEach(async () => {
    await cluster.leave();
    await redis.stop();
  });

  const renew = (): Promise<void> =>
    new Promise((resume) => {
      cluster.slots.hold({ resume });
    });

  async function scripts(): Promise<number> {
    const stats = String(await redis.command('INFO', 'commandstats'));
    return Number(/cmdstat_evalsha:calls=(\d+)/.exec(stats)?.[1] ?? 0);
  }

  /** The leases in Redis, with the time at which each ends. */
  async function ends(): Promise<Map<string, number>> {
    const found = new Map<string, number>();
    for (const key of (await redis.command('KEYS', '*:leases')) as string[]) {
      if ((await redis.command('TYPE', key)) !== 'zset') continue;
      const all = await redis.command('ZRANGE', key, '0', '-1', 'WITHSCORES');
      for (const [member, end] of all as [string, number][]) found.set(`${key} ${member}`, end);
    }
    return found;
  }

  it(`of ${SLOTS} slots takes one command for ${TOGETHER} of them`, async () => {
    const before = await ends();
    const sent = await scripts();
    await renew();
    // With the look at the revocations, and at the nodes.
    expect((await scripts()) - sent).toBeLessThan(SLOTS / TOGETHER + 10);
    const after = await ends();
    expect([...after.keys()].toSorted()).toEqual([...before.keys()].toSorted());
    for (const [lease, end] of after) expect(end).toBeGreaterThanOrEqual(before.get(lease)!);
    expect(Math.min(...after.values())).toBeGreaterThan(Math.min(...before.values()));
    expect(lost).toEqual([]);
  });

  it(`puts right what Redis has lost, has too much, and has ruined, seed ${SEED}`, async () => {
    const random = new Random(SEED);
    const expected = new Set((await ends()).keys());
    const keys = ((await redis.command('KEYS', '*:leases')) as string[]).toSorted();
    const ruined = keys.pop()!;
    await redis.command('SET', ruined, 'of another kind');
    const own = [...expected][0]!.split(' ')[1]!.split(':')[0]!;
    const other = 'e'.repeat(own.length);
    const earlier = String(Date.now() + TIMES.leaseMs / 2);
    for (const key of keys) {
      const [member] = (await redis.command('ZRANGE', key, '0', '0')) as [string];
      const harm = random.below(6);
      if (harm === 0) await redis.command('DEL', key);
      if (harm === 1) await redis.command('ZREM', key, member);
      if (harm === 2) await redis.command('ZADD', key, '1', member);
      // A lease of this node that it does not have, from before the others; one of another node.
      if (harm === 3) await redis.command('ZADD', key, earlier, `${own}:conn_stray`);
      if (harm === 4) {
        await redis.command('ZADD', key, '99999999999999', `${other}:conn_other`);
        expected.add(`${key} ${other}:conn_other`);
      }
    }
    for (const lease of expected) if (lease.startsWith(`${ruined} `)) expected.delete(lease);
    await renew();
    await renew();
    expect([...(await ends()).keys()].toSorted()).toEqual([...expected].toSorted());
    expect(lost).toEqual([]);
    await redis.command('DEL', ruined);
    await renew();
    expect((await ends()).size).toBe(expected.size + SLOTS_OF_A_USER);
  });
});
