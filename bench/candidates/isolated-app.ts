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

/** The user is whom the address names. */
@Injectable()
class QueryAuthenticator implements ConnectionAuthenticator {
  authenticate({ url = '' }: IncomingMessage): Promise<ConnectionIdentity | null> {
    // A token would be checked here: what that costs is the app's.
    const [, userId] = url.split('?user=');
    return Promise.resolve(userId === undefined ? null : { userId });
  }
}

@Module({})
class AppModule {}

/** Starts an app with an isolated gateway. Every option has its default, but for the room that a load needs. */
export async function startIsolated(
  providers: Type[],
  { connections }: ServerOptions,
): Promise<BenchServer> {
  const options: WebSocketIsolationOptions = { authenticator: QueryAuthenticator };
  // The default is 10,000: only a load of more than that needs more room.
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
