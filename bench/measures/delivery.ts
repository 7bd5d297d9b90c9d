import { Remote } from '../../lab/remote.js';
import { LoadClient } from '../load/client.js';
import { received } from '../load/traffic.js';
import { type DeliveryWay, DeliveryWays, metrics } from '../metrics.js';
import type { DeliveryMethods } from '../processes/delivery.process.js';
import { type BenchRedis, withRedis } from '../processes/redis.js';
import { percentile } from '../statistics.js';
import { APART, type Bench, interleave, type Measure } from './measure.js';

const PER_SECOND = 1_000;
/** Each has a client on the receiving node. A burst is one message to each of them. */
const USERS = Array.from({ length: 64 }, (_, index) => `user-${index}`);
/** Far longer than any burst takes: a message that has not arrived by then is lost. */
const LOST_AFTER_MS = 60_000;
const SENT_AT = /"at":"(\d+)"/;

type Node = Remote<DeliveryMethods>;

/** What a message costs, and how long it takes, from a node to a user's client on another node, over Redis. */
export const delivery: Measure = {
  name: 'delivery',
  run: (bench) => withRedis('delivery', (redis) => measureWays(bench, redis)),
};

async function measureWays(bench: Bench, redis: BenchRedis): Promise<void> {
  const { settings, results } = bench;
  const bursts = settings.isQuick ? 30 : 300;
  const durationMs = settings.isQuick ? 500 : 2_000;
  const pairs: Pair[] = [];
  try {
    for (const way of DeliveryWays) pairs.push(await Pair.start(way, redis.url));
    // The first round warms up.
    await interleave(settings.rounds + 1, pairs, async (pair, round) => {
      bench.progress(`delivery, round ${round}, ${pair.way}`);
      const redisBefore = await redis.cpu();
      const cpuUs = await pair.cpuOf(bursts);
      const redisUs = ((await redis.cpu()) - redisBefore) / (bursts * USERS.length);
      if (round === 0) return;
      results.add(metrics.deliveryCpu(), pair.way, cpuUs);
      results.add(metrics.deliveryRedisCpu(), pair.way, redisUs);
    });
    await interleave(settings.rounds, pairs, async (pair, round) => {
      bench.progress(`latency of delivery, round ${round}, ${pair.way}`);
      const times = await pair.times(durationMs);
      results.add(metrics.delivery('p50', PER_SECOND), pair.way, percentile(times, 0.5));
      results.add(metrics.delivery('p99', PER_SECOND), pair.way, percentile(times, 0.99));
    });
  } finally {
    await Promise.all(pairs.map((pair) => pair.end()));
  }
}

/** Two processes, one that sends and one that receives, and the clients of the receiver. */
class Pair {
  private constructor(
    readonly way: DeliveryWay,
    private readonly nodes: readonly [sender: Node, receiver: Node],
    private readonly clients: readonly LoadClient[],
  ) {}

  static async start(way: DeliveryWay, url: string): Promise<Pair> {
    const module = new URL('../processes/delivery.process.js', import.meta.url);
    const onCore = { core: APART.servers };
    const nodes = [
      new Remote<DeliveryMethods>(module, onCore),
      new Remote<DeliveryMethods>(module, onCore),
    ] as const;
    const [, port] = await Promise.all(nodes.map((node) => node.call('start', way, url)));
    const opened = USERS.map(async (userId) => {
      let heard: (() => void) | undefined;
      const first = new Promise<void>((resolve) => {
        heard = resolve;
      });
      const protocol = way.startsWith('room of Socket.IO') ? 'socket.io' : 'plain';
      const target = { port: port!, protocol, userId, localAddress: '127.0.0.1' } as const;
      const client = await LoadClient.open(target, heard);
      // A client that can resume hears what is sent after it was told that its connection is live.
      if (way === 'toThread, resume') await first;
      return client;
    });
    return new Pair(way, nodes, await Promise.all(opened));
  }

  /** Resolves with the processor time of both nodes, in microseconds, for each message that arrived. */
  async cpuOf(bursts: number): Promise<number> {
    const before = await this.#cpu();
    for (let sent = 0; sent < bursts; sent += 1) {
      const arrived = received(this.clients, USERS.length);
      await this.nodes[0].call('burst', USERS);
      await this.#inTime(arrived);
    }
    return ((await this.#cpu()) - before) / (bursts * USERS.length);
  }

  /** Sends at an even rate, and resolves with the time that each message took, in milliseconds. */
  async times(durationMs: number): Promise<readonly number[]> {
    const times: number[] = [];
    const sent = Math.floor((PER_SECOND * durationMs) / 1000);
    const arrived = new Promise<void>((resolve) => {
      for (const client of this.clients) {
        client.onMessage = (bytes, start, end) => {
          const sentAt = SENT_AT.exec(bytes.toString('latin1', start, end))?.[1];
          if (sentAt === undefined) return;
          times.push(Number(process.hrtime.bigint() - BigInt(sentAt)) / 1e6);
          if (times.length === sent) resolve();
        };
      }
    });
    await this.nodes[0].call('sendEvenly', USERS, PER_SECOND, sent);
    await this.#inTime(arrived);
    return times;
  }

  async end(): Promise<void> {
    await Promise.all(this.clients.map((client) => client.close()));
    await Promise.all(this.nodes.map((node) => node.end()));
  }

  async #cpu(): Promise<number> {
    const each = await Promise.all(this.nodes.map((node) => node.call('cpu')));
    return each.reduce((sum, us) => sum + us, 0);
  }

  async #inTime(arrived: Promise<void>): Promise<void> {
    let timer: NodeJS.Timeout | undefined;
    const lost = new Promise<never>((_resolve, reject) => {
      const error = new Error(`${this.way}: messages were lost`);
      timer = setTimeout(() => reject(error), LOST_AFTER_MS);
    });
    try {
      await Promise.race([arrived, lost]);
    } finally {
      clearTimeout(timer);
    }
  }
}
