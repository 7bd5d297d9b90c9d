import { Inject, Module } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { WsAdapter } from '@nestjs/platform-ws';
import {
  MessageBody,
  type OnGatewayConnection,
  SubscribeMessage,
  WebSocketGateway,
} from '@nestjs/websockets';

import { PATH, type StartServer } from './candidate.js';
import { EchoBody, Session } from './echo.js';
import { startNest } from './nest-app.js';

@WebSocketGateway({ path: PATH })
class EchoGateway implements OnGatewayConnection {
  constructor(
    @Inject(REQUEST) readonly client: unknown,
    private readonly session: Session,
  ) {}

  handleConnection(): void {
    this.session.open();
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() body: EchoBody): unknown {
    this.session.messages += 1;
    return { event: 'echo', data: body };
  }
}

@Module({ providers: [EchoGateway, Session] })
class AppModule {}

export const start: StartServer = () => startNest(AppModule, (app) => new WsAdapter(app));
