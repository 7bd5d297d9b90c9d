import { Module } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import {
  MessageBody,
  type OnGatewayConnection,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
} from '@nestjs/websockets';

import { NEWS, type StartServer } from './candidate.js';
import { EchoBody } from './echo.js';
import { startNest } from './nest-app.js';

@WebSocketGateway({ transports: ['websocket'] })
class EchoGateway implements OnGatewayConnection {
  @WebSocketServer() readonly server!: { emit(event: string, data: unknown): void };
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

export const start: StartServer = async () => {
  const { app, ...started } = await startNest(AppModule, (created) => new IoAdapter(created));
  const { server } = app.get(EchoGateway);
  return { ...started, fanOut: () => server.emit('news', NEWS) };
};
