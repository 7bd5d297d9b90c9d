import type { IncomingMessage } from 'node:http';

import { type DynamicModule, Injectable, Module, type Type } from '@nestjs/common';
import {
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  WebSocketEmitter,
  WebSocketIsolationModule,
  type WebSocketIsolationOptions,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { redisCluster } from 'nestjs-websocket-isolation/redis';

import { type BenchServer, CROWD, NEWS, type ServerOptions, TOPIC } from './candidate.js';
import { startNest } from './nest-app.js';

/** Reads the user id from the query string of the URL. */
@Injectable()
class QueryAuthenticator implements ConnectionAuthenticator {
  authenticate({ url = '' }: IncomingMessage): Promise<ConnectionIdentity | null> {
    // A real app verifies a token here. That cost is not part of the library, so the benchmark leaves it out.
    const [, userId] = url.split('?user=');
    return Promise.resolve(userId === undefined ? null : { userId });
  }
}

// An app lets a connection join in its own code. The registry, which has all of them, is not published.
function managersOf(factory: WebSocketManagerFactory): Iterable<WebSocketManager> {
  const { registry } = factory as unknown as { registry: { all(): Iterable<WebSocketManager> } };
  return registry.all();
}

// One arrival is admitted per second. In the second case 16 of them, because the clients have as many addresses.
const REFUSING = {
  process: { perSecond: 1, burst: 1 },
  address: { perSecond: 1_000_000, burst: 1_000_000, perAddress: { perSecond: 1 } },
};

@Module({})
class AppModule {}

/** Starts an app with an isolated gateway. All options have their defaults, except `maxManagers` for large loads. */
export async function startIsolated(
  providers: Type[],
  { connections, refuses, redisUrl, keepsHistory }: ServerOptions,
): Promise<BenchServer> {
  const options: WebSocketIsolationOptions = { authenticator: QueryAuthenticator };
  // The default is 10,000. Only larger loads need a higher limit.
  if (connections > 10_000) options.limits = { maxManagers: connections };
  if (refuses) options.handshake = { admission: REFUSING[refuses] };
  if (redisUrl !== undefined) options.cluster = redisCluster({ url: redisUrl });
  if (keepsHistory) options.topics = { history: {} };
  const module: DynamicModule = {
    module: AppModule,
    imports: [WebSocketIsolationModule.forRoot(options)],
    providers: [QueryAuthenticator, ...providers],
  };
  const { app, ...started } = await startNest(module);
  const emitter = app.get(WebSocketEmitter);
  const factory = app.get(WebSocketManagerFactory);
  return {
    ...started,
    allowPerUser: (maxManagersPerUser) => factory.setLimits({ maxManagersPerUser }),
    toCrowd: () => void emitter.toUser(CROWD).send('news', NEWS),
    askAll: async (each) => {
      const askInTurn = async (manager: WebSocketManager): Promise<void> => {
        for (let asked = 0; asked < each; asked += 1) await manager.ask('sure?', NEWS);
      };
      await Promise.all(Array.from(managersOf(factory), askInTurn));
    },
    joinTopic: async () => {
      await Promise.all([...managersOf(factory)].map((manager) => manager.join(TOPIC)));
    },
    toTopic: () => void emitter.toTopic(TOPIC).send('news', NEWS),
  };
}
