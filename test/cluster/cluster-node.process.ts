import { existsSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';

import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  type ClusterStatus,
  type DisconnectReport,
  CurrentContext,
  IsolatedGateway,
  IsolationEventBus,
  type UserExecutionContext,
  WebSocketEmitter,
  WebSocketManagerFactory,
  type WebSocketIsolationOptions,
} from 'nestjs-websocket-isolation';
import { redisCluster, type RedisClusterOptions } from 'nestjs-websocket-isolation/redis';

import { serve } from '../support/node-process.js';
import { startApp } from '../support/test-app.js';

export interface NodeConfig {
  readonly cluster: RedisClusterOptions;
  readonly options?: WebSocketIsolationOptions;
  /** The duration of each disconnect hook, in milliseconds. */
  readonly goodbyeMs?: number;
}

/** A message that reached its handler. */
export interface HandledMessage {
  readonly userId: string;
  readonly data: unknown;
}

const config = JSON.parse(process.argv[2]!) as NodeConfig;
let handled: HandledMessage[] = [];

@IsolatedGateway({ path: '/chat' })
class EchoGateway {
  async handleDisconnect(): Promise<void> {
    await setTimeout(config.goodbyeMs ?? 0);
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown, @CurrentContext() context: UserExecutionContext) {
    handled.push({ userId: context.userId, data });
    return { event: 'echo', data };
  }
}

const node = await startApp({
  providers: [EchoGateway],
  options: {
    ...config.options,
    ...(config.options?.topics && { topics: { ...config.options.topics, authorizer: () => true } }),
    cluster: redisCluster(config.cluster),
  },
});
const factory = node.app.get(WebSocketManagerFactory);
const events: string[] = [];
for (const name of ['cluster-degraded', 'cluster-recovered'] as const) {
  node.app.get(IsolationEventBus).on(name, () => void events.push(name));
}

/** The methods of a node that a test can call. */
const methods = {
  port: (): number => node.port,
  live: (userId: string): number => factory.managersOf(userId).length,
  disconnect: (userId: string): Promise<DisconnectReport> => factory.disconnect({ userId }),
  /** Sends an event to a thread. Returns when the event has been passed to the emitter. */
  say: (userId: string, threadId: string, data: unknown): void => {
    node.app.get(WebSocketEmitter).toThread(userId, threadId).send('news', data);
  },
  /** Sends an event to a topic. Returns when the event has been passed to the emitter. */
  sayTopic: (topic: string, data: unknown): void => {
    node.app.get(WebSocketEmitter).toTopic(topic).send('news', data);
  },
  status: (): ClusterStatus => factory.getStats().currentState.cluster!,
  handled: (): readonly HandledMessage[] => handled,
  /** Returns the messages that reached a handler since the last call. */
  takeHandled: (): HandledMessage[] => {
    const taken = handled;
    handled = [];
    return taken;
  },
  /** Returns the changes of the cluster's state, in order. */
  events: (): readonly string[] => events,
  /** Blocks the event loop until a file exists. */
  block: (path: string): void => {
    while (!existsSync(path));
  },
  /** Ends all connections. */
  cleanUp: async (): Promise<void> => {
    const { userDistribution } = factory.getStats();
    await Promise.all(Object.keys(userDistribution).map((userId) => factory.cleanupUser(userId)));
  },
  /** Moves the wall clock, like a bad clock or an operator. */
  jump: (ms: number): void => {
    const { now } = Date;
    Date.now = () => now() + ms;
  },
  close: async (): Promise<void> => {
    await node.close();
    setImmediate(() => process.disconnect());
  },
};

export type NodeMethods = typeof methods;

serve(methods);
