import { ConnectedSocket, MessageBody, SubscribeMessage, WsException } from '@nestjs/websockets';
import {
  IsolatedGateway,
  MessageSignal,
  TopicPresence,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
} from 'nestjs-websocket-isolation';

import { type AgentEvent, Assistant } from './assistant.js';
import { Conversation } from './conversation.js';
import { topicOf } from './rooms.js';

/** An instance per tab: its fields, and the providers it injects, belong to this connection only. */
@IsolatedGateway({ path: '/chat' })
export class ChatGateway {
  constructor(
    private readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
    private readonly conversation: Conversation,
    private readonly assistant: Assistant,
    private readonly emitter: WebSocketEmitter,
    private readonly presence: TopicPresence,
  ) {}

  handleConnection(): void {
    this.manager.send('welcome', this.context);
  }

  /** To everybody in the room, whatever node they are on. The tab has subscribed to the room itself. */
  @SubscribeMessage('say')
  say(@MessageBody('room') room: unknown, @MessageBody('text') text: unknown): void {
    const said = this.conversation.say(String(text).slice(0, 500));
    this.emitter.toTopic(this.#joined(room)).send('said', said);
  }

  /** Who is in the room. From then on, `presence` events tell who comes and goes. */
  @SubscribeMessage('people')
  async people(@MessageBody('room') room: unknown): Promise<unknown> {
    const members = await this.presence.members(this.#joined(room));
    return { event: 'people', data: members.map(({ userId }) => userId) };
  }

  /**
   * A run of the assistant, as a stream. It protects the tab from the cleanup, and ends when the tab cancels it or
   * disconnects: then the signal is aborted.
   */
  @SubscribeMessage('ask')
  ask(
    @MessageBody('text') text: unknown,
    @MessageSignal() signal: AbortSignal,
  ): AsyncGenerator<AgentEvent> {
    return this.assistant.run(this.context.run(), String(text).slice(0, 500), signal);
  }

  @SubscribeMessage('stats')
  stats(): unknown {
    return { event: 'stats', data: this.manager.getStats() };
  }

  /** Cuts the connection without a close frame, like a network failure. */
  @SubscribeMessage('cut')
  cut(@ConnectedSocket() client: { terminate(): void }): void {
    client.terminate();
  }

  #joined(room: unknown): string {
    const topic = topicOf(room);
    if (!this.manager.topics.has(topic)) throw new WsException('This tab is not in that room.');
    return topic;
  }
}
