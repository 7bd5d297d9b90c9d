import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway } from 'nestjs-websocket-isolation';

/** Answers with what it gets. */
@IsolatedGateway({ path: '/chat' })
export class EchoGateway {
  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown): { event: string; data: unknown } {
    return { event: 'echo', data };
  }
}
