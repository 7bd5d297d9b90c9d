import { ConnectedSocket, MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway, WebSocketManager } from 'nestjs-websocket-isolation';

/** A gateway with traffic for the dashboard: messages, work in progress, failures. */
@IsolatedGateway({ path: '/live' })
export class LiveGateway {
  constructor(private readonly manager: WebSocketManager) {}

  handleConnection(): void {
    this.manager.onDispose(() => undefined);
  }

  @SubscribeMessage('say')
  say(@MessageBody('text') text: unknown): unknown {
    return { event: 'said', data: text };
  }

  /** Pins the connection until it ends. */
  @SubscribeMessage('work')
  work(@MessageBody('label') label: unknown): void {
    this.manager.pin(String(label));
  }

  @SubscribeMessage('fail')
  fail(): never {
    throw new Error('a secret text of an error');
  }

  @SubscribeMessage('cut')
  cut(@ConnectedSocket() client: { terminate(): void }): void {
    client.terminate();
  }
}
