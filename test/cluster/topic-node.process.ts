import { setTimeout as pause } from 'node:timers/promises';
import { queryObjects } from 'node:v8';

import {
  type ClusterDeliveryReport,
  IsolatedGateway,
  TopicPresence,
  WebSocketEmitter,
  WebSocketManager,
  type WebSocketIsolationOptions,
} from 'nestjs-websocket-isolation';
import { redisCluster, type RedisClusterOptions } from 'nestjs-websocket-isolation/redis';

import { TopicMembers } from '../../src/redis/topic-members.js';
import { HistoryReader } from '../../src/resume/history-reader.js';
import { Topic } from '../../src/topics/topic.js';
import { TopicRequests } from '../../src/topics/topic-requests.js';
import { Topics } from '../../src/topics/topics.service.js';
import { activeTimers } from '../support/live-count.js';
import { serve } from '../support/node-process.js';
import { startApp } from '../support/test-app.js';

export interface TopicNodeConfig {
  readonly cluster: RedisClusterOptions;
  readonly topics: WebSocketIsolationOptions['topics'];
}

/** The data of a sent event. */
export interface TopicEvent {
  readonly sender: string;
  /** The number of earlier events of this sender to the topic. */
  readonly index: number;
}

@IsolatedGateway({ path: '/chat' })
class TopicGateway {}

const { cluster, topics } = JSON.parse(process.argv[2]!) as TopicNodeConfig;
const node = await startApp({
  providers: [TopicGateway],
  options: {
    topics: { ...topics, authorizer: () => true },
    cluster: redisCluster(cluster),
  },
});
const emitter = node.app.get(WebSocketEmitter);

/** The maximum number of events in flight. Without a maximum, the sender would outrun Redis. */
const WINDOW = 50;
const OBJECTS_PAUSE_MS = 200;
const sent = new Map<string, number>();

function nextEvent(sender: string, topic: string): TopicEvent {
  const index = sent.get(topic) ?? 0;
  sent.set(topic, index + 1);
  return { sender, index };
}

const methods = {
  port: (): number => node.port,
  /** Sends events to topics in turn. Resolves when all events are stored. */
  send: async (sender: string, names: readonly string[], count: number): Promise<void> => {
    for (let start = 0; start < count; start += WINDOW) {
      const reports: Promise<ClusterDeliveryReport>[] = [];
      for (let place = start; place < Math.min(count, start + WINDOW); place += 1) {
        const topic = names[place % names.length]!;
        const audience = emitter.toTopic(topic);
        const event = nextEvent(sender, topic);
        if (place % 10 === 0) reports.push(audience.sendAsync('n', event));
        else audience.send('n', event);
      }
      await Promise.all(reports);
    }
  },
  counts: (names: readonly string[]): Promise<number[]> =>
    Promise.all(names.map((name) => node.app.get(TopicPresence).count(name))),
  timers: (): number => activeTimers(),
  /** Seconds of processor time. */
  cpu: (): number => {
    const { user, system } = process.cpuUsage();
    return (user + system) / 1e6;
  },
  /** What topics have left in the memory of this process: all zeros when nothing is left. */
  left: async (): Promise<Record<string, number>> => {
    const { size, memberships } = node.app.get(Topics);
    const { pending } = node.app.get(TopicRequests);
    if (size + memberships + pending > 0) return { size, memberships, pending };
    // To count objects, V8 stops this process for a while. In between, it has to hear from Redis.
    await pause(OBJECTS_PAUSE_MS);
    for (const type of [TopicMembers, Topic, HistoryReader, WebSocketManager]) {
      const count = queryObjects(type, { format: 'count' });
      if (count > 0) return { [type.name]: count };
    }
    return { objects: 0 };
  },
  close: async (): Promise<void> => {
    await node.close();
    setImmediate(() => process.disconnect());
  },
};

export type TopicNodeMethods = typeof methods;

serve(methods);
