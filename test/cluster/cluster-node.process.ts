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
  /** Milliseconds that everybody's disconnect hook takes. */
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
  options: { ...config.options, cluster: redisCluster(config.cluster) },
});
const factory = node.app.get(WebSocketManagerFactory);
const events: string[] = [];
for (const name of ['cluster-degraded', 'cluster-recovered'] as const) {
  node.app.get(IsolationEventBus).on(name, () => void events.push(name));
}

/** What the test may ask a node. */
const methods = {
  port: (): number => node.port,
  live: (userId: string): number => factory.managersOf(userId).length,
  disconnect: (userId: string): Promise<DisconnectReport> => factory.disconnect({ userId }),
  /** Resolves when the event is on its way. */
  say: (userId: string, threadId: string, data: unknown): void => {
    node.app.get(WebSocketEmitter).toThread(userId, threadId).send('news', data);
  },
  status: (): ClusterStatus => factory.getStats().currentState.cluster!,
  handled: (): readonly HandledMessage[] => handled,
  /** Messages that reached a handler since the last question. */
  takeHandled: (): HandledMessage[] => {
    const taken = handled;
    handled = [];
    return taken;
  },
  /** What became of the cluster, in its order. */
  events: (): readonly string[] => events,
  /** Does nothing else until there is a file. */
  block: (path: string): void => {
    while (!existsSync(path));
  },
  /** Ends all connections. */
  cleanUp: async (): Promise<void> => {
    const { userDistribution } = factory.getStats();
    await Promise.all(Object.keys(userDistribution).map((userId) => factory.cleanupUser(userId)));
  },
  /** Moves what people call the time, as a bad clock or an operator does. */
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
