import { setTimeout as pause } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';
import type { WebSocketIsolationOptions } from 'nestjs-websocket-isolation';
import { eventually } from 'nestjs-websocket-isolation/testing';

import { SHORT_LEASE } from '../support/cluster.js';
import { NodeProcess } from '../support/node-process.js';
import { TestRedis } from '../support/redis.js';
import { ResumingClient, statusOf } from '../support/resuming-client.js';
import type { SentEvent, ThreadNodeConfig, ThreadNodeMethods } from './thread-node.process.js';

const NODE = new URL('thread-node.process.ts', import.meta.url);
/** The number of events. The guarantee is stated for 100000; the default is lower to save time. */
const EVENTS = Number(process.env['RESUME_EVENTS'] ?? 3_000);
/** The number of events for the test with a small history. */
const FEWER_EVENTS = Math.ceil(EVENTS / 200) * 100;
const SEED = Number(process.env['RESUME_SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const PATIENCE_MS = 900_000 + EVENTS;

const threads = Array.from({ length: 50 }, (_, index) => ({
  userId: `user-${index % 25}`,
  threadId: `thread-${index}`,
}));

/** Returns a generator of pseudo-random numbers. The same seed gives the same numbers. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/** Returns the events of a thread by offset, merged over its clients, and checks the frames of each client. */
function mergedEvents(clients: readonly ResumingClient[]): Map<number, SentEvent> {
  const merged = new Map<number, SentEvent>();
  for (const { frames } of clients) {
    let last: number | undefined;
    for (const { event, data, position } of frames) {
      const offset = Number(position.split('.')[1]);
      // Offsets are consecutive. Only a gap may skip some.
      const next = event === 'resume' ? last : last! + 1;
      const isFree = event === 'resume' && (last === undefined || statusOf(data) === 'gap');
      expect(offset).toBe(isFree ? offset : next);
      last = offset;
      if (event === 'resume') continue;
      expect(data).toEqual(merged.get(offset) ?? data);
      merged.set(offset, data as SentEvent);
    }
  }
  return merged;
}

/** Returns the events of each sender, in the order of the thread. */
function bySender(merged: ReadonlyMap<number, SentEvent>): Map<string, number[]> {
  const senders = new Map<string, number[]>();
  for (const [, { sender, index }] of [...merged].toSorted(([one], [other]) => one - other)) {
    senders.set(sender, [...(senders.get(sender) ?? []), index]);
  }
  return senders;
}

function upTo(count: number): number[] {
  return Array.from({ length: count }, (_, index) => index);
}

class Fleet {
  readonly clients: ResumingClient[] = [];
  nodes: { process: NodeProcess<ThreadNodeMethods>; port: number }[] = [];
  #isOver = false;

  private constructor(
    readonly redis: TestRedis,
    private readonly next: () => number,
  ) {}

  static async start(seed: number, options: WebSocketIsolationOptions): Promise<Fleet> {
    const redis = await TestRedis.start();
    const fleet = new Fleet(redis, random(seed));
    const config: ThreadNodeConfig = { cluster: { ...SHORT_LEASE, url: redis.url }, options };
    fleet.nodes = await Promise.all(
      ['a', 'b', 'c'].map(async () => {
        const process = new NodeProcess<ThreadNodeMethods>(NODE, config);
        return { process, port: await process.call('port') };
      }),
    );
    return fleet;
  }

  /** Opens a client for each thread, and a second for every fifth. Resolves when all clients have a position. */
  async connect(): Promise<void> {
    for (const [index, { userId, threadId }] of threads.entries()) {
      for (let count = 0; count < (index % 5 === 0 ? 2 : 1); count += 1) {
        const client = new ResumingClient(() => {
          const { port } = this.nodes[Math.floor(this.next() * this.nodes.length)]!;
          return `ws://127.0.0.1:${port}/chat?user=${userId}&thread=${threadId}`;
        });
        client.start();
        this.clients.push(client);
      }
    }
    await eventually(() => {
      expect(this.clients.filter(({ frames }) => frames.length === 0)).toEqual([]);
    }, PATIENCE_MS);
  }

  clientsOf(threadIndex: number): ResumingClient[] {
    const before = threadIndex + Math.ceil(threadIndex / 5);
    return this.clients.slice(before, before + (threadIndex % 5 === 0 ? 2 : 1));
  }

  /** Cuts connections of clients at random until `calmDown`. */
  async disturb(): Promise<void> {
    while (!this.#isOver) {
      await pause(10 + this.next() * 30);
      this.clients[Math.floor(this.next() * this.clients.length)]!.cut();
    }
  }

  /** Cuts connections to Redis and flushes its scripts at random until `calmDown`. */
  async disturbRedis(): Promise<void> {
    const troubles = [
      ['CLIENT', 'KILL', 'TYPE', 'pubsub'],
      ['CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'],
      ['SCRIPT', 'FLUSH'],
    ];
    while (!this.#isOver) {
      await pause(200 + this.next() * 400);
      await this.redis.command(...troubles[Math.floor(this.next() * troubles.length)]!);
      await this.#progress();
    }
  }

  // On a slow machine, a node needs longer than that to connect to Redis again. Cut off all the time, it would give up
  // events, and rightly say so by a gap.
  async #progress(): Promise<void> {
    const received = (): number => this.clients.reduce((sum, { frames }) => sum + frames.length, 0);
    for (const before = received(); !this.#isOver && received() === before;) await pause(20);
  }

  async killOne(): Promise<void> {
    const [victim] = this.nodes.splice(2, 1);
    await victim!.process.kill();
  }

  calmDown(): void {
    this.#isOver = true;
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    for (const client of this.clients) client.stop();
    await Promise.all(this.nodes.map(({ process }) => process.kill()));
    await this.redis.stop();
  }
}

describe(`resume on three nodes (RESUME_SEED=${SEED})`, () => {
  let fleet: Fleet;
  const start = async (resume: WebSocketIsolationOptions['resume']): Promise<void> => {
    fleet = await Fleet.start(SEED, { resume });
    await fleet.connect();
  };
  afterEach(() => fleet.stop());

  // Two nodes send half of the events each. The third node sends too, and is killed while it sends.
  async function sendEverything(count: number): Promise<void> {
    const [a, b, c] = fleet.nodes.map(({ process }) => process);
    const disturbed = Promise.all([fleet.disturb(), fleet.disturbRedis()]);
    const senders = [
      a!.call('send', 'a', threads, count / 2),
      b!.call('send', 'b', threads, count / 2),
    ];
    const doomed = c!.call('send', 'c', threads, count).catch(() => 'killed');
    await pause(Math.min(2_000, 300 + count / 50));
    await fleet.killOne();
    expect(await doomed).toBe('killed');
    await Promise.all(senders);
    fleet.calmDown();
    await disturbed;
  }

  // Waits until each client has the last event of its thread.
  async function allCaughtUp(): Promise<void> {
    await eventually(() => {
      for (const index of threads.keys()) {
        const ends = fleet.clientsOf(index).map(({ frames }) => frames.at(-1)!.position);
        expect(new Set(ends).size).toBe(1);
      }
    }, PATIENCE_MS);
    // The last positions in Redis equal those of the clients, so no more events follow.
    const heads = await Promise.all(
      ((await fleet.redis.command('KEYS', '*thread:*')) as string[]).map((key) =>
        fleet.redis.command('HMGET', key, 'e', 's'),
      ),
    );
    const positions = heads.map((head) => (head as [string, string]).join('.'));
    await eventually(() => {
      const ends = threads.map((_, index) => fleet.clientsOf(index)[0]!.frames.at(-1)!.position);
      expect(ends.toSorted()).toEqual(positions.toSorted());
    }, PATIENCE_MS);
  }

  it(`delivers ${EVENTS} events to 50 threads once and in order, while clients reconnect and a node dies`, async () => {
    await start({ windowMs: 600_000, maxEvents: 10_000, maxBytes: 8_388_608 });
    await sendEverything(EVENTS);
    await allCaughtUp();
    expect(fleet.clients.map(({ gaps }) => gaps)).toEqual(fleet.clients.map(() => 0));
    for (const index of threads.keys()) {
      const merged = mergedEvents(fleet.clientsOf(index));
      const { a, b, c = [] } = Object.fromEntries(bySender(merged));
      const perThread = EVENTS / 2 / threads.length;
      expect({ a, b }).toEqual({ a: upTo(perThread), b: upTo(perThread) });
      // The events of the killed node have no hole.
      expect(c).toEqual(upTo(c.length));
      for (const client of fleet.clientsOf(index)) {
        expect(client.frames.filter(({ event }) => event === 'n')).toHaveLength(merged.size);
      }
    }
    const connects = fleet.clients.reduce((sum, client) => sum + client.connects, 0);
    expect(connects).toBeGreaterThan(fleet.clients.length);
  });

  it('reports a gap whenever a client has missed more events than are kept', async () => {
    await start({ windowMs: 600_000, maxEvents: 5, maxBytes: 100_000 });
    // This client misses more than five events. Some other clients will, too.
    const [away] = fleet.clientsOf(1);
    away!.stop();
    await sendEverything(FEWER_EVENTS);
    away!.comeBack();
    await allCaughtUp();
    for (const index of threads.keys()) {
      // `mergedEvents` fails for a hole without a gap notice.
      const merged = mergedEvents(fleet.clientsOf(index));
      for (const indexes of bySender(merged).values()) {
        expect(indexes).toEqual([...new Set(indexes)].toSorted((one, other) => one - other));
      }
    }
    expect(away!.gaps).toBeGreaterThan(0);
  });
});
