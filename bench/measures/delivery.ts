import { setTimeout as pause } from 'node:timers/promises';

import { LoadClient } from '../load/client.js';
import { type DeliveryWay, DeliveryWays, metrics } from '../metrics.js';
import type { DeliveryMethods } from '../processes/delivery.process.js';
import { BenchRedis } from '../processes/redis.js';
import { Remote } from '../../lab/remote.js';
import { percentile } from '../statistics.js';
import { interleave, type Measure } from './measure.js';

const PER_SECOND = 1_000;
const SENT_AT = /"at":"(\d+)"/;

type Node = Remote<DeliveryMethods>;

/** The time a message takes from a node to a client of another node, over Redis. */
export const delivery: Measure = {
  name: 'delivery',
  async run(bench) {
    const { settings, results } = bench;
    const redis = await BenchRedis.start();
    if (!redis) {
      console.error('delivery is skipped: redis-server is not installed.');
      return;
    }
    const pairs: Pair[] = [];
    try {
      for (const way of DeliveryWays) pairs.push(await Pair.start(way, redis.url));
      const durationMs = settings.isQuick ? 500 : 2_000;
      await interleave(settings.rounds + 1, pairs, async (pair, round) => {
        bench.progress(`delivery, round ${round}, ${pair.way}`);
        const { times, cpuUs } = await pair.measure(durationMs);
        // The first round warms up.
        if (round === 0) return;
        results.add(metrics.deliveryCpu(), pair.way, cpuUs);
        results.add(metrics.delivery('p50', PER_SECOND), pair.way, percentile(times, 0.5));
        results.add(metrics.delivery('p99', PER_SECOND), pair.way, percentile(times, 0.99));
      });
    } finally {
      await Promise.all(pairs.map((pair) => pair.end()));
      await redis.end();
    }
  },
};

/** Two processes, one that sends and one that receives, and a client of the receiver. */
class Pair {
  #times: number[] = [];

  private constructor(
    readonly way: DeliveryWay,
    private readonly nodes: readonly [sender: Node, receiver: Node],
    private readonly client: LoadClient,
  ) {
    client.onMessage = (bytes, start, end) => {
      const sentAt = SENT_AT.exec(bytes.toString('latin1', start, end))?.[1];
      if (sentAt === undefined) return;
      this.#times.push(Number(process.hrtime.bigint() - BigInt(sentAt)) / 1e6);
    };
  }

  static async start(way: DeliveryWay, url: string): Promise<Pair> {
    const module = new URL('../processes/delivery.process.js', import.meta.url);
    const nodes = [
      new Remote<DeliveryMethods>(module),
      new Remote<DeliveryMethods>(module),
    ] as const;
    const [, port] = await Promise.all(nodes.map((node) => node.call('start', way, url)));
    const client = await LoadClient.open({
      port: port!,
      protocol: way === 'room of Socket.IO' ? 'socket.io' : 'plain',
      userId: 'ada',
      localAddress: '127.0.0.1',
    });
    // A client that can resume hears what is sent after it was told that its connection is live.
    if (way === 'toThread, resume') {
      await new Promise<unknown>((resolve) => {
        client.onMessage = resolve;
      });
    }
    return new Pair(way, nodes, client);
  }

  /** Resolves with the time that each message took, in milliseconds, and the nodes' processor time for each. */
  async measure(durationMs: number): Promise<{ times: readonly number[]; cpuUs: number }> {
    this.#times = [];
    const before = await this.#cpu();
    const sent = await this.nodes[0].call('send', PER_SECOND, durationMs);
    for (let tries = 0; this.#times.length < sent && tries < 500; tries += 1) await pause(10);
    if (this.#times.length !== sent) {
      throw new Error(`${this.way}: ${this.#times.length} of ${sent} messages arrived`);
    }
    return { times: this.#times, cpuUs: ((await this.#cpu()) - before) / sent };
  }

  async end(): Promise<void> {
    await this.client.close();
    await Promise.all(this.nodes.map((node) => node.end()));
  }

  async #cpu(): Promise<number> {
    const [sender, receiver] = this.nodes;
    return (await sender.call('cpu')) + (await receiver.call('cpu'));
  }
}
