import { Module } from '@nestjs/common';
import {
  MessageBody,
  type OnGatewayConnection,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
} from '@nestjs/websockets';
import type { Server } from 'socket.io';

import { NEWS, type StartServer, TOPIC } from './candidate.js';
import { EchoBody } from './echo.js';
import { startNest } from './nest-app.js';
import { ioAdapterFor } from './socket-io-cluster.js';

@WebSocketGateway({ transports: ['websocket'] })
class EchoGateway implements OnGatewayConnection {
  @WebSocketServer() readonly server!: Server;
  connections = 0;

  handleConnection(): void {
    this.connections += 1;
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() body: EchoBody): unknown {
    return { event: 'echo', data: body };
  }

  /** What is returned without an event is the acknowledgement. */
  @SubscribeMessage('request')
  request(@MessageBody() body: EchoBody): EchoBody {
    return body;
  }
}

@Module({ providers: [EchoGateway] })
class AppModule {}

export const start: StartServer = async (options) => {
  const { app, ...started } = await startNest(AppModule, await ioAdapterFor(options));
  const { server } = app.get(EchoGateway);
  return {
    ...started,
    toCrowd: () => server.emit('news', NEWS),
    joinTopic: () => {
      server.local.socketsJoin(TOPIC);
      return Promise.resolve();
    },
    toTopic: () => server.to(TOPIC).emit('news', NEWS),
  };
};
