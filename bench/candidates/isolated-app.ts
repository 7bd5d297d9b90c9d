import type { IncomingMessage } from 'node:http';

import { type DynamicModule, Injectable, Module, type Type } from '@nestjs/common';
import {
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  WebSocketEmitter,
  WebSocketIsolationModule,
  type WebSocketIsolationOptions,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

import { type BenchServer, CROWD, NEWS, type ServerOptions } from './candidate.js';
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

@Module({})
class AppModule {}

/** Starts an app with an isolated gateway. All options have their defaults, except `maxManagers` for large loads. */
export async function startIsolated(
  providers: Type[],
  { connections }: ServerOptions,
): Promise<BenchServer> {
  const options: WebSocketIsolationOptions = { authenticator: QueryAuthenticator };
  // The default is 10,000. Only larger loads need a higher limit.
  if (connections > 10_000) options.limits = { maxManagers: connections };
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
    fanOut: () => void emitter.toUser(CROWD).send('news', NEWS),
  };
}
