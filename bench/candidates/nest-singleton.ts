import { Module } from '@nestjs/common';
import { WsAdapter } from '@nestjs/platform-ws';
import {
  MessageBody,
  type OnGatewayConnection,
  SubscribeMessage,
  WebSocketGateway,
} from '@nestjs/websockets';

import { PATH, type StartServer } from './candidate.js';
import { EchoBody } from './echo.js';
import { startNest } from './nest-app.js';

@WebSocketGateway({ path: PATH })
class EchoGateway implements OnGatewayConnection {
  connections = 0;

  handleConnection(): void {
    this.connections += 1;
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() body: EchoBody): unknown {
    return { event: 'echo', data: body };
  }
}

@Module({ providers: [EchoGateway] })
class AppModule {}

export const start: StartServer = () => startNest(AppModule, (app) => new WsAdapter(app));
