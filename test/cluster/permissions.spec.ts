import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { readFileSync } from 'node:fs';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { createClient } from 'redis';

import { Keys } from '../../src/redis/keys.js';
import { missingPermissions } from '../../src/redis/permissions.js';
import { TestRedis } from '../support/redis.js';
import { LocalNode } from './local-node.js';

const PATIENCE_MS = 900_000;
/** No command fails because the machine is busy. */
const PATIENT = { acquireTimeoutMs: PATIENCE_MS, commandTimeoutMs: PATIENCE_MS };
const PAGE = readFileSync(new URL('../../docs/cluster.md', import.meta.url), 'utf8');
/** The `ACL SETUSER` command of the page. */
const [, LINE = ''] = /^(ACL SETUSER (?:.*\\\n)*.*)$/m.exec(PAGE) ?? [];
const WORDS = LINE.replaceAll('\\\n', ' ').split(/\s+/).filter(Boolean);
const COMMANDS = WORDS.filter((word) => word.startsWith('+'));
const [USER = '', PASSWORD = ''] = [WORDS[2], WORDS.find((word) => word.startsWith('>'))?.slice(1)];

describe('a user of Redis', () => {
  const cleanUps: (() => unknown)[] = [];
  // Collected from the start of the boot.
  let warnings: string[] = [];
  const listen = (event: unknown): void => void warnings.push((event as { what: string }).what);
  beforeEach(() => {
    warnings = [];
    subscribe('websocket-isolation:cluster-warning', listen);
  });
  afterEach(async () => {
    unsubscribe('websocket-isolation:cluster-warning', listen);
    for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  });

  async function startRedis(args: readonly string[] = []): Promise<TestRedis> {
    const redis = await TestRedis.start(args);
    cleanUps.push(() => redis.stop());
    return redis;
  }
  async function start(
    redis: TestRedis,
    cluster: RedisClusterOptions = {},
    credentials = `${USER}:${PASSWORD}@`,
  ): Promise<LocalNode> {
    const url = `redis://${credentials}127.0.0.1:${redis.port}`;
    const options = { limits: { maxManagersPerUser: 2 }, resume: { windowMs: 60_000 } };
    const node = await LocalNode.start({ url, ...cluster }, options);
    cleanUps.push(() => node.close());
    return node;
  }

  it('with exactly the permissions of the page can run all commands', async () => {
    const redis = await startRedis();
    await redis.command(...WORDS);
    const [one, other] = [await start(redis, PATIENT), await start(redis, PATIENT)];
    const clients = [await one.connect(), await other.connect()];
    expect(await one.statusOfArrival()).toBe(429);
    const sent = await one.emitter.toUser('ada').sendAsync('news', 1);
    expect(sent).toMatchObject({ sent: 2, silent: [] });
    const { threadId } = one.factory.managersOf('ada')[0]!.context;
    await eventually(async () => {
      const report = await other.emitter.toThread('ada', threadId).sendAsync('said', 1);
      expect(report.sent + report.queued).toBe(1);
    });
    expect(await one.factory.connectionsOf('ada')).toHaveLength(2);
    await eventually(() => expect(one.status.nodes).toHaveLength(2));
    expect(await one.factory.disconnectUser('ada')).toBe(2);
    for (const client of clients) expect(await client.closed()).toBe(4401);
    // The pings of the connections must be allowed too.
    await eventually(async () => {
      expect(String(await redis.command('INFO', 'commandstats'))).toContain('cmdstat_ping:');
    }, PATIENCE_MS);
    expect(await redis.command('ACL', 'LOG')).toEqual([]);
    expect(warnings).toEqual([]);
    for (const { status } of [one, other]) expect(status.lastError ?? '').not.toContain('NOPERM');
  });

  it('needs every command of the page, and each missing one is named', async () => {
    const redis = await startRedis();
    const keys = new Keys('wsi', '', 0);
    for (const command of COMMANDS) {
      if (/^\+(select|subscribe|info|cluster)/.test(command)) continue;
      await redis.command('ACL', 'DELUSER', USER);
      await redis.command(...WORDS.filter((word) => word !== command));
      const url = `redis://${USER}:${PASSWORD}@127.0.0.1:${redis.port}`;
      const client = await createClient({ url, RESP: 2 })
        .on('error', () => undefined)
        .connect();
      const missing = await missingPermissions(client, keys);
      client.destroy();
      expect(missing).toEqual([command]);
    }
  });

  it.each([
    ['a command of scripts', '-xadd', '+xadd'],
    ['PING', '-ping', '+ping'],
    ['INFO', '-info', '+info'],
    ['SUBSCRIBE', '-subscribe', '+subscribe'],
    ['its keys', 'resetkeys', '~wsi*'],
    ['its channels', 'resetchannels', '&wsi*'],
  ])('that lacks %s causes one warning at boot', async (_what, change, named) => {
    const redis = await startRedis();
    await redis.command(...WORDS);
    await redis.command('ACL', 'SETUSER', USER, change);
    const node = await start(redis);
    await eventually(() => expect(warnings.join()).toContain(named), PATIENCE_MS);
    const client = await node.connect();
    client.send('echo', 1);
    await eventually(() => expect(client.messages).toContainEqual({ event: 'echo', data: 1 }));
    // The node keeps pinging and beating, and does not repeat the warning.
    const before = await pings(redis);
    await eventually(async () => expect(await pings(redis)).toBeGreaterThan(before), PATIENCE_MS);
    expect(warnings.filter((text) => text.includes(named))).toHaveLength(1);
    expect(node.timesDegraded).toBeLessThan(2);
  });

  it('can be restricted to the keys and channels of one prefix', async () => {
    const redis = await startRedis();
    const confined = WORDS.map((word) => word.replace(/^([~&])wsi\*$/, '$1shop*'));
    await redis.command(...confined);
    const node = await start(redis, { keyPrefix: 'shop' });
    await node.connect();
    expect(await node.factory.disconnectUser('ada')).toBe(1);
    expect(await redis.command('ACL', 'LOG')).toEqual([]);
    expect([node.status.state, warnings]).toEqual(['up', []]);
  });

  it('with a wrong or missing password leaves a process that serves, and reports the cause', async () => {
    const redis = await startRedis(['--requirepass', 'secret']);
    for (const credentials of ['', ':wrong@']) {
      const node = await start(redis, { commandTimeoutMs: 500 }, credentials);
      expect(node.status.state).toBe('local');
      await eventually(() => expect(node.status.lastError).toMatch(/NOAUTH|WRONGPASS/));
      await node.connect();
      // The failure is reported at boot and not repeated.
      expect([node.timesDegraded, node.status.state]).toEqual([0, 'local']);
    }
    const right = await start(redis, {}, ':secret@');
    expect(right.status.state).toBe('up');
  });

  it('of a server with a renamed command causes a warning', async () => {
    const redis = await startRedis(['--rename-command', 'XTRIM', 'hidden']);
    const node = await start(redis, {}, '');
    await eventually(() => expect(warnings.join()).toContain('+xtrim'), PATIENCE_MS);
    await node.connect();
    expect(node.status.state).toBe('up');
  });
});

/** Resolves with the number of pings, allowed and rejected. */
async function pings(redis: TestRedis): Promise<number> {
  const stats = String(await redis.command('INFO', 'commandstats'));
  const [, calls = '0', rejected = '0'] =
    /cmdstat_ping:calls=(\d+),.*?rejected_calls=(\d+)/.exec(stats) ?? [];
  return Number(calls) + Number(rejected);
}
