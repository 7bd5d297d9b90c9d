import { MessageBody, type OnGatewayConnection, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManager,
} from 'nestjs-websocket-isolation';

import { DEFLATE, PATH, type StartServer, STREAM_CHUNK_BYTES } from './candidate.js';
import { EchoBody, Session } from './echo.js';
import { startIsolated } from './isolated-app.js';

/** An item of 20 bytes, as JSON. */
const TOKEN = 'x'.repeat(18);
const CHUNK = 'x'.repeat(STREAM_CHUNK_BYTES);

export const start: StartServer = (options) => {
  @IsolatedGateway({ path: PATH, ...(options.deflates && { perMessageDeflate: DEFLATE }) })
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

    @SubscribeMessage('stream')
    async *stream(@MessageBody() items: number): AsyncGenerator {
      for (let item = 0; item < items; item += 1) yield { event: 'token', data: TOKEN };
    }

    @SubscribeMessage('send')
    send(@MessageBody() items: number): void {
      for (let item = 0; item < items; item += 1) this.manager.send('token', TOKEN);
    }

    @SubscribeMessage('chunks')
    async *chunks(@MessageBody() count: number): AsyncGenerator {
      for (let item = 0; item < count; item += 1) yield { event: 'chunk', data: CHUNK };
    }
  }

  return startIsolated([EchoGateway, Session], options);
};
