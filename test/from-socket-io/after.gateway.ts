import { MessageBody, type OnGatewayConnection, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  TopicPresence,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
} from 'nestjs-websocket-isolation';

@IsolatedGateway({ path: '/chat' })
export class ChatGateway implements OnGatewayConnection {
  constructor(
    private readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
    private readonly emitter: WebSocketEmitter,
    private readonly presence: TopicPresence,
  ) {}

  handleConnection(): void {
    this.manager.send('welcome', { you: this.context.userId });
  }

  @SubscribeMessage('enter')
  async enter(@MessageBody('room') room: string) {
    await this.manager.join(room);
    const members = await this.presence.members(room);
    return { event: 'entered', data: { members: members.map(({ userId }) => userId) } };
  }

  @SubscribeMessage('say')
  say(@MessageBody() body: { room: string; text: string }) {
    if (!this.manager.topics.has(body.room)) {
      return { event: 'refused', data: { error: 'not in the room' } };
    }
    const { userId, connectionId } = this.context;
    const others = this.emitter.toTopic(body.room).except({ connectionId });
    others.send('said', { from: userId, text: body.text });
    return { event: 'sent', data: { ok: true } };
  }

  @SubscribeMessage('typing')
  typing(@MessageBody('room') room: string): void {
    const { userId, connectionId } = this.context;
    if (!this.manager.topics.has(room)) return;
    const others = this.emitter.toTopic(room).except({ connectionId });
    others.send('typing', { from: userId }, { policy: 'drop' });
  }

  @SubscribeMessage('whisper')
  whisper(@MessageBody() body: { to: string; text: string }) {
    const { userId } = this.context;
    this.emitter.toUser(body.to).send('whispered', { from: userId, text: body.text });
    return { event: 'sent', data: { ok: true } };
  }

  @SubscribeMessage('sure?')
  async sure() {
    const answer = await this.manager.ask('confirm', {}, { timeoutMs: 5_000 });
    return { event: 'sure', data: { answer } };
  }
}
