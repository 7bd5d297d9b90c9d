import { MessageBody, type OnGatewayConnection, SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentContext,
  CurrentManager,
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManager,
} from 'nestjs-websocket-isolation';

import { PATH, type StartServer } from './candidate.js';
import { EchoBody } from './echo.js';
import { startIsolated } from './isolated-app.js';

@IsolatedGateway({ path: PATH })
class EchoGateway implements OnGatewayConnection {
  connections = 0;

  handleConnection(): void {
    this.connections += 1;
  }

  @SubscribeMessage('echo')
  echo(
    @MessageBody() body: EchoBody,
    @CurrentContext() { userId }: UserExecutionContext,
    @CurrentManager() { context }: WebSocketManager,
  ): unknown {
    // Both parameters are read, so that the engine cannot optimise them away.
    return userId === context.userId ? { event: 'echo', data: body } : undefined;
  }
}

export const start: StartServer = (options) => startIsolated([EchoGateway], options);
