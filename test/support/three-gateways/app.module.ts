import type { IncomingMessage } from 'node:http';

import { Injectable, Module } from '@nestjs/common';
import {
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  WebSocketIsolationModule,
} from 'nestjs-websocket-isolation';
import { WebSocketIsolationAsyncApiModule } from 'nestjs-websocket-isolation/asyncapi';

import { AgentGateway, Usage } from './agent.gateway.js';
import { ChatGateway } from './chat.gateway.js';
import { GaugesController, LiveGateway } from './live.gateway.js';

/** The token is the name of the user. An app checks a real one. */
@Injectable()
export class TokenAuthenticator implements ConnectionAuthenticator {
  async authenticate({ headers }: IncomingMessage): Promise<ConnectionIdentity | null> {
    const [, token] = (headers['sec-websocket-protocol'] ?? '').split(',');
    return token ? { userId: token.trim(), threadId: 'home' } : null;
  }
}

@Module({
  imports: [
    WebSocketIsolationModule.forRoot({
      authenticator: TokenAuthenticator,
      handshake: { rejectWith: 'close' },
      topics: {
        authorizer: ({ userId }, topic) => topic !== 'room:staff' || userId === 'ada',
        presence: true,
        history: {},
      },
      resume: {},
    }),
    WebSocketIsolationAsyncApiModule.forRoot({ allowAnonymous: true, title: 'Three gateways' }),
  ],
  controllers: [GaugesController],
  providers: [TokenAuthenticator, Usage, ChatGateway, AgentGateway, LiveGateway],
})
export class AppModule {}
