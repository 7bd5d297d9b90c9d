import { afterEach, describe, expect, it } from '@jest/globals';
import {
  IsolatedGateway,
  WebSocketEmitter,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { redisCluster, type RedisClusterOptions } from 'nestjs-websocket-isolation/redis';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { createClient, RESP_TYPES } from 'redis';

import { SHORT_LEASE } from '../support/cluster.js';
import { TestRedis } from '../support/redis.js';
import { ResumingClient, statusOf } from '../support/resuming-client.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { startApp, type TestApp } from '../support/test-app.js';

const PATIENCE_MS = 900_000;
const KEPT = 5;
const LOST = 15;
/** The number of events that wait for Redis. They are sent at once when Redis is back. */
const WAITING = 60;

@IsolatedGateway({ path: '/chat' })
class ThreadGateway {}

const news = ({ frames }: ResumingClient): unknown[] =>
  frames.filter(({ event }) => event === 'news').map(({ data }) => data);
const statuses = ({ frames }: ResumingClient): string[] =>
  frames.filter(({ event }) => event === 'resume').map(({ data }) => statusOf(data));

/** Checks that the clients have seen no position twice with different data. */
function noNumberTwice(clients: readonly ResumingClient[]): void {
  const seen = new Map<string, unknown>();
  for (const { event, data, position } of clients.flatMap(({ frames }) => frames)) {
    if (event !== 'news') continue;
    expect(data).toEqual(seen.get(position) ?? data);
    seen.set(position, data);
  }
}

const say = (node: TestApp, data: unknown) =>
  node.app.get(WebSocketEmitter).toThread('ada', 'tea').sendAsync('news', data);
async function sayUpTo(node: TestApp, from: number, to: number): Promise<void> {
  for (let count = from; count <= to; count += 1) await say(node, count);
}

const upTo = (count: number) => Array.from({ length: count }, (_, index) => index + 1);

describe('a history that has lost its end', () => {
  const cleanUps: (() => unknown)[] = [];
  afterEach(async () => {
    for (const cleanUp of cleanUps.splice(0).toReversed()) await cleanUp();
  });

  async function start(port: number, settings: RedisClusterOptions = {}): Promise<TestApp> {
    const url = `redis://127.0.0.1:${port}`;
    const cluster = redisCluster({ ...SHORT_LEASE, url, commandTimeoutMs: 1_000, ...settings });
    const app = await startApp({
      providers: [ThreadGateway],
      options: { cluster, resume: { windowMs: 600_000 } },
    });
    cleanUps.push(() => app.close());
    return app;
  }
  async function join(node: TestApp): Promise<ResumingClient> {
    const client = new ResumingClient(() => node.url('/chat?user=ada&thread=tea'));
    client.start();
    cleanUps.push(() => client.stop());
    await eventually(() => expect(client.frames).toHaveLength(1), PATIENCE_MS);
    return client;
  }

  async function losingRedis(): Promise<TestRedis> {
    const redis = await TestRedis.start();
    cleanUps.push(() => redis.stop());
    return redis;
  }

  it('after Redis came back from an old snapshot is reported to every client, also to one that was away', async () => {
    const redis = await losingRedis();
    const nodes = [await start(redis.port), await start(redis.port)] as const;
    const clients = [await join(nodes[0]), await join(nodes[1])];
    const away = await join(nodes[0]);
    await sayUpTo(nodes[0], 1, KEPT);
    await eventually(() => expect(news(away)).toEqual(upTo(KEPT)));
    away.stop();
    await redis.command('SAVE');
    await sayUpTo(nodes[1], KEPT + 1, KEPT + LOST);
    await eventually(() => {
      for (const client of clients) expect(news(client)).toEqual(upTo(KEPT + LOST));
    });
    await redis.kill();
    await redis.launch();
    // No event is sent: the nodes detect the loss on their own.
    await eventually(() => {
      for (const client of clients) expect(statuses(client)).toEqual(['live', 'gap']);
    }, PATIENCE_MS);
    away.comeBack();
    await eventually(() => expect(statuses(away)).toEqual(['live', 'gap']), PATIENCE_MS);
    await sayUpTo(nodes[0], 101, 103);
    await eventually(() => {
      for (const client of [...clients, away]) {
        expect(news(client).slice(-3)).toEqual([101, 102, 103]);
      }
    }, PATIENCE_MS);
    // No client gets an event twice.
    for (const client of clients)
      expect(news(client)).toEqual([...upTo(KEPT + LOST), 101, 102, 103]);
    noNumberTwice([...clients, away]);
  });

  it('is reported even if a node that does not know of it has already written new events', async () => {
    const redis = await losingRedis();
    const lines = [await TcpProxy.start(redis.port), await TcpProxy.start(redis.port)] as const;
    for (const line of lines) cleanUps.push(() => line[Symbol.asyncDispose]());
    const [knowing, other] = [await start(lines[0].port), await start(lines[1].port)];
    const client = await join(knowing);
    const later = await join(other);
    await sayUpTo(knowing, 1, KEPT);
    await eventually(() => expect(news(later)).toEqual(upTo(KEPT)));
    later.stop();
    await redis.command('SAVE');
    // The other node gets none of the following events.
    lines[1].isClosed = true;
    lines[1].cut();
    await sayUpTo(knowing, KEPT + 1, KEPT + LOST);
    await eventually(() => expect(news(client)).toEqual(upTo(KEPT + LOST)));
    lines[0].isClosed = true;
    await redis.kill();
    await redis.launch();
    lines[1].isClosed = false;
    later.comeBack();
    // More events than were lost, so the numbers alone no longer show the loss.
    await eventually(() => expect(later.connects).toBe(2), PATIENCE_MS);
    await eventually(async () => {
      const { sent, queued } = await say(other, 0);
      expect(sent + queued).toBe(1);
    }, PATIENCE_MS);
    for (let count = 201; count <= 200 + LOST + KEPT; count += 1) await say(other, count);
    await eventually(() => expect(news(later).at(-1)).toBe(200 + LOST + KEPT), PATIENCE_MS);
    lines[0].isClosed = false;
    await eventually(() => expect(statuses(client)).toEqual(['live', 'gap']), PATIENCE_MS);
    await eventually(() => expect(statuses(later).at(-1)).toBe('gap'), PATIENCE_MS);
    await say(knowing, 'both');
    await eventually(() => {
      expect(news(client).at(-1)).toBe('both');
      expect(news(later).at(-1)).toBe('both');
    }, PATIENCE_MS);
    noNumberTwice([client, later]);
  });

  it('after a fail-over to a lagging replica is reported', async () => {
    const redis = await losingRedis();
    const replica = await losingRedis();
    await using copying = await TcpProxy.start(redis.port);
    await replica.command('REPLICAOF', '127.0.0.1', String(copying.port));
    await using line = await TcpProxy.start(redis.port);
    const nodes = [await start(line.port), await start(line.port)] as const;
    const clients = [await join(nodes[0]), await join(nodes[1])];
    await sayUpTo(nodes[0], 1, KEPT);
    const key = async () => ((await redis.command('KEYS', '*thread:*')) as string[])[0]!;
    const place = async () => Number(await replica.command('HGET', await key(), 's'));
    await eventually(async () => expect(await place()).toBe(KEPT), PATIENCE_MS);
    copying.freeze();
    await sayUpTo(nodes[0], KEPT + 1, KEPT + LOST);
    await eventually(() => {
      for (const client of clients) expect(news(client)).toEqual(upTo(KEPT + LOST));
    });
    await redis.kill();
    await replica.command('REPLICAOF', 'NO', 'ONE');
    line.target = replica.port;
    line.cut();
    await say(nodes[1], 'after');
    await eventually(() => {
      for (const client of clients) expect(news(client).at(-1)).toBe('after');
    }, PATIENCE_MS);
    for (const client of clients) expect(statuses(client)).toEqual(['live', 'gap']);
    noNumberTwice(clients);
    // The thread goes on under a new epoch: the events that the replica had are still there.
    const [stream] = (await replica.command('KEYS', '*events:*')) as string[];
    expect(await replica.command('XLEN', stream!)).toBe(KEPT + 1);
    for (const { app } of nodes) {
      const { cluster } = app.get(WebSocketManagerFactory).getStats().currentState;
      expect(cluster!.counters.unreadable).toBe(0);
    }
  });

  it('after Redis came back empty is reported once, and waiting events arrive once', async () => {
    const redis = await losingRedis();
    const nodes = [await start(redis.port), await start(redis.port)] as const;
    const clients = [await join(nodes[0]), await join(nodes[1])];
    await sayUpTo(nodes[0], 1, KEPT);
    await eventually(() => {
      for (const client of clients) expect(news(client)).toEqual(upTo(KEPT));
    });
    await redis.kill();
    const thread = nodes[0].app.get(WebSocketEmitter).toThread('ada', 'tea');
    for (let count = KEPT + 1; count <= WAITING; count += 1) thread.send('news', count);
    await redis.launch();
    await eventually(() => {
      for (const client of clients) expect(news(client).at(-1)).toBe(WAITING);
    }, PATIENCE_MS);
    await say(nodes[1], WAITING + 1);
    await eventually(() => {
      for (const client of clients) {
        expect(news(client)).toEqual(upTo(WAITING + 1));
        expect(statuses(client)).toEqual(['live', 'gap']);
      }
    }, PATIENCE_MS);
    noNumberTwice(clients);
  });

  it('is not reported for an event that a node missed before its first read', async () => {
    const redis = await losingRedis();
    // Long times, so that no renewal restores a lease.
    const leases = { leaseMs: 600_000, renewMs: 200_000 };
    const [sender, holder] = [await start(redis.port, leases), await start(redis.port, leases)];
    const client = await join(holder);
    // Without leases no node gets the event. A critical event is kept nevertheless.
    for (const key of (await redis.command('KEYS', '*:leases')) as string[]) {
      await redis.command('DEL', key);
    }
    sender.app.get(WebSocketEmitter).toThread('ada', 'tea').sendCritical('news', 1);
    await eventually(() => expect(news(client)).toEqual([1]), PATIENCE_MS);
    expect(statuses(client)).toEqual(['live']);
  });

  it('is not reported when Redis comes back with all data', async () => {
    const redis = await losingRedis();
    const nodes = [await start(redis.port), await start(redis.port)] as const;
    const clients = [await join(nodes[0]), await join(nodes[1])];
    const away = await join(nodes[0]);
    await sayUpTo(nodes[0], 1, KEPT);
    await eventually(() => expect(news(away)).toEqual(upTo(KEPT)));
    away.stop();
    await sayUpTo(nodes[1], KEPT + 1, KEPT + 2);
    await redis.command('SAVE');
    await redis.kill();
    await redis.launch();
    away.comeBack();
    await say(nodes[1], KEPT + 3);
    await eventually(() => {
      for (const client of [...clients, away]) expect(news(client)).toEqual(upTo(KEPT + 3));
    }, PATIENCE_MS);
    for (const client of clients) expect(statuses(client)).toEqual(['live']);
    expect(statuses(away)).toEqual(['live', 'recovered']);
  });

  it('twice in a row, from the same old snapshot, is reported twice', async () => {
    const redis = await losingRedis();
    const node = await start(redis.port);
    const client = await join(node);
    await sayUpTo(node, 1, KEPT);
    await redis.command('SAVE');
    for (const round of [1, 2]) {
      await sayUpTo(node, 100 * round, 100 * round + 3);
      await eventually(() => expect(news(client).at(-1)).toBe(100 * round + 3), PATIENCE_MS);
      await redis.kill();
      await redis.launch();
      await eventually(() => {
        expect(statuses(client)).toEqual(['live', ...Array.from({ length: round }, () => 'gap')]);
      }, PATIENCE_MS);
    }
    await say(node, 'end');
    await eventually(() => expect(news(client).at(-1)).toBe('end'), PATIENCE_MS);
    noNumberTwice([client]);
  });

  it('is not reported when the Redis client of the app returns buffers', async () => {
    const redis = await losingRedis();
    const { NUMBER, BLOB_STRING, SIMPLE_STRING } = RESP_TYPES;
    const typeMapping = { [NUMBER]: String, [BLOB_STRING]: Buffer, [SIMPLE_STRING]: Buffer };
    const client = createClient({ url: redis.url, commandOptions: { typeMapping } });
    const nodes = [
      await start(redis.port),
      await start(redis.port, { url: undefined, client }),
    ] as const;
    const clients = [await join(nodes[0]), await join(nodes[1])];
    await sayUpTo(nodes[0], 1, KEPT);
    await eventually(() => {
      for (const one of clients) expect(news(one)).toEqual(upTo(KEPT));
    });
    for (const one of clients) expect(statuses(one)).toEqual(['live']);
  });

  it('in the memory of a process that has ended is reported', async () => {
    const options = { resume: { windowMs: 600_000 } };
    const nodes = [await startApp({ providers: [ThreadGateway], options })];
    const client = new ResumingClient(() => nodes.at(-1)!.url('/chat?user=ada&thread=tea'));
    cleanUps.push(() => client.stop());
    client.start();
    await eventually(() => expect(client.frames).toHaveLength(1));
    await sayUpTo(nodes[0]!, 1, KEPT);
    await eventually(() => expect(news(client)).toEqual(upTo(KEPT)));
    const [first] = nodes;
    nodes.push(await startApp({ providers: [ThreadGateway], options }));
    cleanUps.push(() => nodes[1]!.close());
    await first!.close();
    await eventually(() => expect(statuses(client)).toEqual(['live', 'gap']), PATIENCE_MS);
    await say(nodes[1]!, 'on');
    await eventually(() => expect(news(client).at(-1)).toBe('on'));
    noNumberTwice([client]);
  });
});
