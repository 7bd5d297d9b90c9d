import { once } from 'node:events';
import { setTimeout as pause } from 'node:timers/promises';

import { WebSocket } from 'ws';

import { type DeliveryWay, DeliveryWays, metrics } from '../metrics.js';
import type { DeliveryMethods } from '../processes/delivery.process.js';
import { BenchRedis } from '../processes/redis.js';
import { Remote } from '../../lab/remote.js';
import { percentile } from '../statistics.js';
import { interleave, type Measure } from './measure.js';

const PER_SECOND = 1_000;

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
        const times = await pair.measure(durationMs);
        // The first round warms up.
        if (round === 0) return;
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
    private readonly sender: Remote<DeliveryMethods>,
    private readonly receiver: Remote<DeliveryMethods>,
    private readonly client: WebSocket,
  ) {
    client.on('message', (text: Buffer) => {
      const { event, data } = JSON.parse(text.toString()) as { event: string; data: Sent };
      if (event !== 'n') return;
      this.#times.push(Number(process.hrtime.bigint() - BigInt(data.at)) / 1e6);
    });
  }

  static async start(way: DeliveryWay, url: string): Promise<Pair> {
    const module = new URL('../processes/delivery.process.js', import.meta.url);
    const [sender, receiver] = [
      new Remote<DeliveryMethods>(module),
      new Remote<DeliveryMethods>(module),
    ];
    await sender.call('start', way, url);
    const port = await receiver.call('start', way, url);
    const client = new WebSocket(`ws://127.0.0.1:${port}/`);
    const pair = new Pair(way, sender, receiver, client);
    await once(client, 'open');
    return pair;
  }

  /** Resolves with the time that each message took, in milliseconds. */
  async measure(durationMs: number): Promise<readonly number[]> {
    this.#times = [];
    const sent = await this.sender.call('send', PER_SECOND, durationMs);
    for (let tries = 0; this.#times.length < sent && tries < 500; tries += 1) await pause(10);
    if (this.#times.length !== sent) {
      throw new Error(`${this.way}: ${this.#times.length} of ${sent} messages arrived`);
    }
    return this.#times;
  }

  async end(): Promise<void> {
    this.client.terminate();
    await Promise.all([this.sender.end(), this.receiver.end()]);
  }
}

interface Sent {
  readonly at: string;
}
