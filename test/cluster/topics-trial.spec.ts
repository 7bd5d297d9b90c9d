import { setTimeout as pause } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { SHORT_LEASE } from '../support/cluster.js';
import { NodeProcess } from '../support/node-process.js';
import { TestRedis } from '../support/redis.js';
import { SEED } from '../support/seed.js';
import { TopicLog, TopicMember } from '../support/topic-crowd.js';
import type { TopicNodeConfig, TopicNodeMethods } from './topic-node.process.js';

const NODE = new URL('topic-node.process.ts', import.meta.url);

/** The promise is stated for the full size, which takes minutes: `TOPICS_TRIAL=full`, or a part of it, `=0.1`. */
const TRIAL = process.env['TOPICS_TRIAL'];
const PART = TRIAL === 'full' ? 1 : Number(TRIAL ?? 0);
const IS_LARGE = PART > 0;
const MEMBERS = IS_LARGE ? Math.ceil(5_000 * PART) : 150;
const TOPICS = IS_LARGE ? Math.ceil(50 * PART) : 6;
const EVENTS = IS_LARGE ? Math.ceil(100_000 * PART) : 2_400;
const FLAP_EVERY_MS = 20;
const WINDOW_MS = IS_LARGE ? 30_000 : 15_000;
const PATIENCE_MS = IS_LARGE ? 3_600_000 : 900_000;
/** Each user's lease is renewed by itself: thousands of them, with a short lease, would cost more than the events. */
const LEASE = IS_LARGE ? { leaseMs: 10_000, renewMs: 3_000, heartbeatMs: 1_000 } : {};
/** Members that connect at the same time. */
const ARRIVALS = 200;
/** Events of a node until it waits for the clients, who would fall behind without a bound. */
const PORTION = TOPICS * 10;

const soon = (assertion: () => void | Promise<void>): Promise<void> =>
  eventually(assertion, PATIENCE_MS);

/** Returns a generator of pseudo-random numbers. The same seed gives the same numbers. */
function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

class Trial {
  readonly names = Array.from({ length: TOPICS }, (_, index) => `room:${index}`);
  readonly logs = this.names.map(() => new TopicLog());
  readonly members: TopicMember[];
  readonly nodes: NodeProcess<TopicNodeMethods>[] = [];
  readonly #ports: number[] = [];
  readonly #random = random(SEED);
  #stepSince = performance.now();

  constructor(private readonly redis: TestRedis) {
    this.members = Array.from({ length: MEMBERS }, (_, index) => {
      const place = index % TOPICS;
      return new TopicMember(`user-${index}`, this.names[place]!, this.logs[place]!, () => {
        const port = this.#ports[this.pick(this.#ports.length)]!;
        return `ws://127.0.0.1:${port}/chat`;
      });
    });
  }

  async start(): Promise<void> {
    const config: TopicNodeConfig = {
      cluster: { ...SHORT_LEASE, ...LEASE, commandTimeoutMs: 30_000, url: this.redis.url },
      topics: { presence: true, history: { windowMs: WINDOW_MS } },
    };
    // `v8.queryObjects` is experimental.
    const quiet = ['--disable-warning=ExperimentalWarning'];
    for (let count = 0; count < 3; count += 1) {
      this.nodes.push(new NodeProcess<TopicNodeMethods>(NODE, config, quiet));
    }
    this.#ports.push(...(await Promise.all(this.nodes.map((node) => node.call('port')))));
  }

  get urlOfFirst(): string {
    return `ws://127.0.0.1:${this.#ports[0]}/chat?user=first`;
  }

  pick(count: number): number {
    return Math.floor(this.#random() * count);
  }

  /** The last node is killed, and its clients connect to the others. */
  async kill(): Promise<void> {
    this.#ports.pop();
    await this.nodes.pop()!.kill();
  }

  async arrive(): Promise<void> {
    for (let first = 0; first < MEMBERS; first += ARRIVALS) {
      const arriving = this.members.slice(first, first + ARRIVALS);
      for (const member of arriving) member.start();
      await soon(() => {
        expect(named(arriving.filter(({ offset }) => offset === undefined))).toEqual([]);
      });
    }
  }

  /** A node sends its share of the events. */
  async send(node: NodeProcess<TopicNodeMethods>, sender: string, share: number): Promise<void> {
    for (let sent = 0; sent < share; sent += PORTION) {
      await node.call('send', sender, this.names, Math.min(PORTION, share - sent));
    }
  }

  /** Cuts connections at random until the signal is aborted. */
  async flap(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      this.members[this.pick(MEMBERS)]!.cut();
      await pause(FLAP_EVERY_MS);
    }
  }

  countsOf(node: NodeProcess<TopicNodeMethods>): Promise<number[]> {
    return node.call('counts', this.names);
  }

  /** Writes what a step has taken. */
  async note(step: string, result = ''): Promise<void> {
    const seconds = (performance.now() - this.#stepSince) / 1_000;
    const nodes = await Promise.all(this.nodes.map((node) => node.call('cpu')));
    const { user, system } = process.cpuUsage();
    const info = String(await this.redis.command('INFO', 'cpu'));
    const [redisCpu = 0, redisUser = 0] = [...info.matchAll(/used_cpu_(?:sys|user):([\d.]+)/g)].map(
      ([, text]) => Number(text),
    );
    const cpu = [...nodes, redisCpu + redisUser, (user + system) / 1e6].map((each) =>
      each.toFixed(1),
    );
    process.stdout.write(
      `topics-trial: ${step} in ${seconds.toFixed(1)} s${result}; CPU until then, in seconds, ` +
        `of the nodes, Redis and the clients: ${cpu.join(' ')}\n`,
    );
    this.#stepSince = performance.now();
  }

  async end(): Promise<void> {
    for (const member of this.members) member.stop();
    await Promise.all(this.nodes.map((node) => node.kill()));
    await this.redis.stop();
  }
}

let trial: Trial;
afterEach(() => trial.end());

describe(`topics on three processes (seed ${SEED})`, () => {
  it(`give ${MEMBERS} members ${EVENTS} events once and in order, while they flap and a node is killed`, async () => {
    const redis = await TestRedis.start();
    trial = new Trial(redis);
    await trial.start();
    // The timer of the handshakes stays until the deadline of one has passed, so it runs before and afterwards.
    await (await TestClient.open(trial.urlOfFirst)).close();
    const timersBefore = await trial.nodes[0]!.call('timers');
    await trial.note('started');
    await trial.arrive();
    await trial.note('arrived', `: ${MEMBERS} members`);

    const heads = (): number => trial.logs.reduce((sum, { head }) => sum + head, 0);
    const flapping = new AbortController();
    const flaps = trial.flap(flapping.signal);
    const share = Math.floor(EVENTS / 3);
    const sending = trial.nodes.map((node, index) => trial.send(node, `node-${index}`, share));
    const doomed = sending.pop()!.catch(() => 'killed');
    // In the middle: some events of the node are out, and some are not.
    await soon(() => expect(heads() / EVENTS).toBeGreaterThan(0.3));
    await trial.kill();
    await doomed;
    await Promise.all(sending);
    flapping.abort();
    await flaps;
    await trial.note('sent', `: ${heads()} events, one node killed`);

    await soon(() => {
      expect(named(trial.members.filter(({ isUpToDate }) => !isUpToDate))).toEqual([]);
    });
    expect(trial.members.flatMap(({ faults }) => faults)).toEqual([]);
    for (const log of trial.logs) {
      // With the events of the members that were never away, a log has no holes.
      expect(log.events.size).toBe(log.head);
      for (const sender of ['node-0', 'node-1', 'node-2']) {
        const indexes = [...log.events.keys()]
          .toSorted((a, b) => a - b)
          .flatMap((offset) => log.events.get(offset)!)
          .filter((event) => event.sender === sender)
          .map(({ index }) => index);
        expect(indexes).toEqual(indexes.map((_, place) => place));
        // What the surviving nodes have sent is complete.
        const least = sender === 'node-2' ? 0 : Math.floor(share / TOPICS);
        expect(indexes.length).toBeGreaterThanOrEqual(least);
      }
    }
    const sum = (of: (member: TopicMember) => number): number =>
      trial.members.reduce((total, member) => total + of(member), 0);
    await trial.note(
      'all are up to date',
      `: ${heads()} events, ${sum(({ received }) => received)} deliveries, ` +
        `${sum(({ resumes }) => resumes)} resumes, ${sum(({ gaps }) => gaps)} gaps`,
    );

    // Presence is exact again, on each node.
    const exact = trial.logs.map((_, place) => Math.ceil((MEMBERS - place) / TOPICS));
    for (const node of trial.nodes) {
      await soon(async () => expect(await trial.countsOf(node)).toEqual(exact));
    }
    await trial.note('presence is exact');

    // Nothing is left: no membership, no key, no object, no timer.
    for (const member of trial.members) member.stop();
    for (const node of trial.nodes) {
      await soon(async () => {
        const left = await node.call('left');
        expect(left).toEqual(Object.fromEntries(Object.keys(left).map((name) => [name, 0])));
      });
    }
    await soon(async () => expect(await redis.command('KEYS', '*{t:*')).toEqual([]));
    await soon(async () => {
      expect(await trial.nodes[0]!.call('timers')).toBeLessThanOrEqual(timersBefore);
    });
    await trial.note('nothing is left', ': 0 objects, 0 keys, no timer');
  });
});

/** Some of the members, named: a list of thousands takes longer to compare than to wait for. */
function named(members: readonly TopicMember[]): string[] {
  return members
    .slice(0, 5)
    .map(({ userId, topic, offset }) => `${userId} in ${topic} at ${offset}`);
}
