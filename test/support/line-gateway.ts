import { setTimeout as sleep } from 'node:timers/promises';

import { ConnectedSocket, MessageBody, SubscribeMessage, WsException } from '@nestjs/websockets';
import {
  IsolatedGateway,
  MessageSignal,
  TopicPresence,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
} from 'nestjs-websocket-isolation';

/** What the gateways of one test have done. */
export const seen = { echoes: [] as unknown[], cancelled: 0, ended: 0 };

export function forget(): void {
  Object.assign(seen, { echoes: [], cancelled: 0, ended: 0 });
}

/** A gateway that does what tests of clients ask it to do. The connect hook of the user `doomed` throws. */
@IsolatedGateway({ path: '/line' })
export class LineGateway {
  constructor(
    private readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
    private readonly emitter: WebSocketEmitter,
    private readonly presence: TopicPresence,
  ) {}

  handleConnection(): void {
    if (this.context.userId === 'doomed') throw new Error('never up');
  }

  /** Closes the connection: with 1006 without a close frame. */
  @SubscribeMessage('close')
  close(
    @MessageBody() { code, reason }: { code: number; reason?: string },
    @ConnectedSocket() client: { terminate(): void },
  ): void {
    if (code === 1006) client.terminate();
    else void this.manager.close(code, reason);
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown): unknown {
    seen.echoes.push(data);
    return { event: 'echo', data };
  }

  /** Which topics the connection is in when the message is handled. */
  @SubscribeMessage('where')
  where(): unknown {
    return { event: 'where', data: [...this.manager.topics] };
  }

  @SubscribeMessage('who')
  who(): unknown {
    return { event: 'who', data: this.context.userId };
  }

  @SubscribeMessage('object')
  object(): unknown {
    return { sum: 3 };
  }

  @SubscribeMessage('nothing')
  nothing(): void {
    seen.echoes.push('nothing');
  }

  @SubscribeMessage('refuse')
  refuse(): void {
    throw new WsException('not today');
  }

  /** Has no end but that of its signal. */
  @SubscribeMessage('hang')
  hang(@MessageSignal() signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => {
        seen.cancelled += 1;
        resolve();
      });
    });
  }

  /** The first connection is lost before the reply. */
  @SubscribeMessage('flaky')
  flaky(@ConnectedSocket() client: { terminate(): void }): unknown {
    seen.echoes.push('flaky');
    if (seen.echoes.length === 1) client.terminate();
    return { event: 'flaky', data: seen.echoes.length };
  }

  @SubscribeMessage('count')
  async *count(@MessageBody('to') to: number, @MessageSignal() signal: AbortSignal) {
    try {
      for (let number = 1; number <= to && !signal.aborted; number += 1) {
        yield { event: 'counted', data: { number } };
        if (number % 10 === 0) await sleep(1);
      }
    } finally {
      seen.ended += 1;
    }
  }

  @SubscribeMessage('fail-late')
  async *failLate() {
    yield { event: 'counted', data: { number: 1 } };
    throw new WsException('no more');
  }

  @SubscribeMessage('ask-me')
  async askMe(@MessageBody() data: unknown): Promise<unknown> {
    try {
      return {
        event: 'asked',
        data: await this.manager.ask('confirm', data, { timeoutMs: 240_000 }),
      };
    } catch (error) {
      const { code, remote, message } = error as {
        code: string;
        remote?: unknown;
        message: string;
      };
      return { event: 'asked', data: { code, remote, message } };
    }
  }

  @SubscribeMessage('say')
  say(@MessageBody() { topic, text }: { topic: string; text: string }): void {
    this.emitter.toTopic(topic).send('said', text);
  }

  @SubscribeMessage('members')
  async members(@MessageBody('topic') topic: string): Promise<unknown> {
    return { event: 'members', data: await this.presence.count(topic) };
  }
}
