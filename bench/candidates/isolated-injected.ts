import { MessageBody, type OnGatewayConnection, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManager,
} from 'nestjs-websocket-isolation';

import { PATH, type StartServer } from './candidate.js';
import { EchoBody, Session } from './echo.js';
import { startIsolated } from './isolated-app.js';

@IsolatedGateway({ path: PATH })
class EchoGateway implements OnGatewayConnection {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
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

export const start: StartServer = (options) => startIsolated([EchoGateway, Session], options);
