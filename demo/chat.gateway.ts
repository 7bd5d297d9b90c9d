import { ConnectedSocket, MessageBody, SubscribeMessage, WsException } from '@nestjs/websockets';
import {
  IsolatedGateway,
  TopicPresence,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
} from 'nestjs-websocket-isolation';

import { Assistant } from './assistant.js';
import { Conversation } from './conversation.js';
import { topicOf } from './rooms.js';

/** An instance per tab: its fields, and the providers it injects, belong to this connection only. */
@IsolatedGateway({ path: '/chat' })
export class ChatGateway {
  #run: AbortController | undefined;

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

  @SubscribeMessage('ask')
  async ask(@MessageBody('text') text: unknown): Promise<void> {
    this.#run?.abort();
    const run = new AbortController();
    this.#run = run;
    try {
      // `run` pins the manager: the cleanup does not remove a tab while its assistant is running.
      await this.manager.run('assistant', () =>
        this.assistant.run(this.context.run(), String(text).slice(0, 500), run.signal),
      );
    } catch (error) {
      if (!run.signal.aborted) throw error;
      this.manager.send('agent_cancelled', {});
    }
  }

  @SubscribeMessage('cancel')
  cancel(): void {
    this.#run?.abort();
  }

  /** Aborts the run of a tab that has disconnected. */
  handleDisconnect(): void {
    this.#run?.abort();
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
