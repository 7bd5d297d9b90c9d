import { ConnectedSocket, MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
} from 'nestjs-websocket-isolation';

import { Assistant } from './assistant.js';
import { Conversation } from './conversation.js';

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
  ) {}

  handleConnection(): void {
    this.manager.send('welcome', this.context);
  }

  @SubscribeMessage('say')
  say(@MessageBody('text') text: unknown): void {
    const said = this.conversation.say(String(text).slice(0, 500));
    this.emitter.toThread(this.context.userId, this.context.threadId).send('said', said);
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
}
