import { describe, expect, it } from '@jest/globals';
import { InvalidOptionsError, WebSocketIsolationModule } from 'nestjs-websocket-isolation';
import { redisCluster, type RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { createClient } from 'redis';

import { Journal } from '../../src/journal/journal.js';
import { Availability } from '../../src/redis/availability.js';
import { resolveRedisOptions } from '../../src/redis/redis.options.js';
import { Renewal } from '../../src/redis/renewal.js';
import { ServerClock } from '../../src/redis/server-checks.js';
import { FakeClock } from '../../src/testing/fake-clock.js';

const url = 'redis://localhost:6379';

function faultsOf(options: RedisClusterOptions | Record<string, unknown>): string[] {
  try {
    redisCluster(options);
    return [];
  } catch (error) {
    if (!(error instanceof InvalidOptionsError)) throw error;
    return error.faults.map(({ option, rule }) => `${option}: ${rule}`);
  }
}

const badCall = () => redisCluster({ url: 'http://:hunter2@host', renewMs: 60_000 });

function watchedClock() {
  const clock = new FakeClock();
  const warnings: string[] = [];
  return { clock, warnings, server: new ServerClock(clock, (what) => void warnings.push(what)) };
}

describe('the options of redisCluster()', () => {
  it('require an address or a client, and nothing else', () => {
    expect(faultsOf({ url })).toEqual([]);
    expect(faultsOf({ url: 'rediss://user:pass@redis.example.com:6380/1' })).toEqual([]);
    expect(faultsOf({ client: createClient() })).toEqual([]);
    expect(faultsOf({ url, nodeName: undefined, leaseMs: undefined })).toEqual([]);
  });

  it('are refused with a list of all faults', () => {
    expect(
      faultsOf({
        url: 'localhost',
        keyPrefix: 'a b',
        onUnavailable: 'panic',
        leaseMs: 100,
        acquireTimeoutMs: 0,
        heartbeatMs: 60.5,
        lease: 5,
      }).toSorted(),
    ).toEqual([
      'acquireTimeoutMs: must be a whole number of milliseconds from 1 to an hour',
      'heartbeatMs: must be a whole number of milliseconds from 50 to an hour',
      'keyPrefix: must be 1 to 64 letters, digits or . : _ -',
      'lease: there is no such option; did you mean leaseMs?',
      'leaseMs: must be a whole number of milliseconds from 200 to an hour',
      "onUnavailable: must be one of 'local', 'closed', 'open'",
      'renewMs: must not exceed a third of leaseMs (100)',
      'url: must be an address like redis://host:6379',
    ]);
  });

  it.each([
    ['neither an address nor a client', {}],
    ['both', { url, client: createClient() }],
  ])('are refused with %s', (_name, options) => {
    expect(faultsOf(options)).toEqual(['url: must be given, or `client` instead; not both']);
  });

  it('are refused with a client of another package', () => {
    const rule = 'must be a client of the `redis` package, version 6 or later';
    expect(faultsOf({ client: { duplicate: () => undefined } })).toEqual([`client: ${rule}`]);
  });

  it('are named in the message, but secrets are not', () => {
    expect(badCall).toThrow(/^The options of redisCluster\(\) are not valid/);
    expect(badCall).toThrow(/renewMs is 60000: must not exceed a third of leaseMs \(30000\)/);
    expect(badCall).not.toThrow(/hunter2|WS_ISOLATION/);
  });

  it('stop the boot if the cluster option is not a cluster', async () => {
    const { NestFactory } = await import('@nestjs/core');
    const module = WebSocketIsolationModule.forRoot({ cluster: { url } as never });
    const boot = NestFactory.createApplicationContext(module, {
      logger: false,
      abortOnError: false,
    });
    await expect(boot).rejects.toThrow(/cluster.*must be a cluster, for example redisCluster/);
  });
});

describe('the clock of Redis', () => {
  it.each([
    [5_000, ['5000 ms']],
    [-5_000, ['-5000 ms']],
    [900, []],
    [-900, []],
  ])('that jumps by %i ms is reported once, if the jump is over a second', async (jumpMs, said) => {
    const { clock, warnings, server } = watchedClock();
    server.heard(1_000_000, clock.now());
    await clock.advance(3_000);
    const isDoubtful = [server.heard(1_003_000, clock.now())];
    await clock.advance(3_000);
    isDoubtful.push(server.heard(1_006_000 + jumpMs, clock.now()));
    await clock.advance(3_000);
    isDoubtful.push(server.heard(1_009_000 + jumpMs, clock.now()));
    expect(isDoubtful).toEqual([false, jumpMs > 1_000, false]);
    expect(warnings.map((text) => /jumped by (-?\d+ ms)/.exec(text)?.[1])).toEqual(said);
  });

  it('is not suspected when this process was frozen while a reply was in flight', () => {
    const { clock, warnings, server } = watchedClock();
    server.heard(1_000_000, clock.now());
    const askedAt = clock.now();
    clock.jump(60_000);
    server.heard(1_000_001, askedAt);
    server.heard(1_060_001, clock.now());
    expect(warnings).toEqual([]);
  });
});

describe('a node whose leases may have ended early', () => {
  it('renews its leases before it handles another message', async () => {
    const clock = new FakeClock();
    const settings = resolveRedisOptions({ url: 'redis://localhost' });
    const availability = new Availability({ clock, journal: new Journal(clock) }, 'local', 'me');
    const asked: (() => void)[] = [];
    const attempt = () => new Promise<void>((answer) => void asked.push(answer));
    const renewal = new Renewal(clock, settings, availability, attempt);
    renewal.start();
    await clock.advance(5_000);
    expect(clock.now()).toBeLessThan(renewal.freshUntil);
    renewal.doubt();
    let isServed = false;
    renewal.hold({ resume: () => (isServed = true) });
    await clock.settle();
    expect([renewal.isOverslept, isServed, asked.length]).toEqual([true, false, 1]);
    asked[0]!();
    await clock.settle();
    expect([renewal.isOverslept, isServed]).toEqual([false, true]);
    renewal.stop();
  });
});
