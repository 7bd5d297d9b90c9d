import { MessageBody, SubscribeMessage, WsException } from '@nestjs/websockets';
import {
  IsolatedGateway,
  TopicPresence,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import type { DataOf, ReplyOf } from 'nestjs-websocket-isolation/contract';

import { type Chat, chat } from './contracts.js';

@IsolatedGateway({ path: '/chat', contract: chat })
export class ChatGateway {
  #said = 0;

  constructor(
    private readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager<Chat>,
    private readonly emitter: WebSocketEmitter<Chat>,
    private readonly presence: TopicPresence,
  ) {}

  @SubscribeMessage('say')
  say(@MessageBody() { room, text }: DataOf<Chat, 'say'>): ReplyOf<Chat, 'say'> {
    this.emitter.toTopic(this.#joined(room)).send('said', { by: this.context.userId, text });
    this.#said += 1;
    return { number: this.#said };
  }

  @SubscribeMessage('who')
  async who(@MessageBody() { room }: DataOf<Chat, 'who'>): Promise<ReplyOf<Chat, 'who'>> {
    const members = await this.presence.members(this.#joined(room));
    return members.map(({ userId }) => userId).toSorted();
  }

  #joined(room: string): `room:${string}` {
    const topic = `room:${room}` as const;
    if (!this.manager.topics.has(topic)) throw new WsException('Subscribe to the room first.');
    return topic;
  }
}
