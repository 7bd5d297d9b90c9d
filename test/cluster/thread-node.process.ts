import {
  IsolatedGateway,
  type ClusterDeliveryReport,
  WebSocketEmitter,
  WebSocketManagerFactory,
  type WebSocketIsolationOptions,
} from 'nestjs-websocket-isolation';
import { redisCluster, type RedisClusterOptions } from 'nestjs-websocket-isolation/redis';

import { serve } from '../support/node-process.js';
import { startApp } from '../support/test-app.js';

export interface ThreadNodeConfig {
  readonly cluster: RedisClusterOptions;
  readonly options: WebSocketIsolationOptions;
}

/** The data of a sent event. */
export interface SentEvent {
  readonly sender: string;
  /** The number of earlier events of this sender to the thread. */
  readonly index: number;
}

@IsolatedGateway({ path: '/chat' })
class ThreadGateway {}

const { cluster, options } = JSON.parse(process.argv[2]!) as ThreadNodeConfig;
const node = await startApp({
  providers: [ThreadGateway],
  options: { ...options, cluster: redisCluster(cluster) },
});
const emitter = node.app.get(WebSocketEmitter);

/** The maximum number of events in flight. Without a maximum, the sender would outrun Redis. */
const WINDOW = 100;

const methods = {
  port: (): number => node.port,
  live: (): number =>
    node.app.get(WebSocketManagerFactory).getStats().factoryMetrics.managersActive,
  /** Sends events to threads in turn. Resolves when all events are stored. */
  send: async (
    sender: string,
    threads: readonly { userId: string; threadId: string }[],
    count: number,
  ): Promise<number> => {
    let silent = 0;
    const indexes = threads.map(() => 0);
    for (let sent = 0; sent < count; sent += WINDOW) {
      const reports: Promise<ClusterDeliveryReport>[] = [];
      for (let place = sent; place < Math.min(count, sent + WINDOW); place += 1) {
        const which = place % threads.length;
        const { userId, threadId } = threads[which]!;
        const event: SentEvent = { sender, index: indexes[which]! };
        indexes[which]! += 1;
        const audience = emitter.toThread(userId, threadId);
        if (place % 10 === 0) reports.push(audience.sendAsync('n', event));
        else audience.send('n', event);
      }
      for (const report of await Promise.all(reports)) silent += report.silent.length;
    }
    return silent;
  },
  /** Sends events one after another, and waits for each report. Resolves with the duration of each, in milliseconds. */
  latencies: async (userId: string, threadId: string, count: number): Promise<number[]> => {
    const times: number[] = [];
    for (let index = 0; index < count; index += 1) {
      const startedAt = performance.now();
      await emitter.toThread(userId, threadId).sendAsync('n', index);
      times.push(performance.now() - startedAt);
    }
    return times;
  },
  close: async (): Promise<void> => {
    await node.close();
    setImmediate(() => process.disconnect());
  },
};

export type ThreadNodeMethods = typeof methods;

serve(methods);
