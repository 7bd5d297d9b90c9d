import { setTimeout as pause } from 'node:timers/promises';

import { Injectable } from '@nestjs/common';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway, MessageSignal, WebSocketManager } from 'nestjs-websocket-isolation';
import type { DataOf, ItemOf, ReplyOf } from 'nestjs-websocket-isolation/contract';

import { type Agent, agent } from './contracts.js';

/** What the agent has cost, over all connections. */
@Injectable()
export class Usage {
  words = 0;
  open = 0;
}

@IsolatedGateway({ path: '/agent', contract: agent })
export class AgentGateway {
  constructor(
    private readonly manager: WebSocketManager<Agent>,
    private readonly total: Usage,
  ) {}

  @SubscribeMessage('prompt')
  async *prompt(
    @MessageBody() { text }: DataOf<Agent, 'prompt'>,
    @MessageSignal() signal: AbortSignal,
  ): AsyncGenerator<ItemOf<Agent, 'prompt'>> {
    this.total.open += 1;
    try {
      const question = { tool: 'turn-around' };
      const isAllowed = await this.manager.ask('approve', question, { timeoutMs: 60_000, signal });
      for (const word of isAllowed ? text.split(' ').toReversed() : ['no']) {
        this.total.words += 1;
        yield { word };
        await pause(2, undefined, { signal });
      }
    } finally {
      this.total.open -= 1;
    }
  }

  @SubscribeMessage('usage')
  usage(): ReplyOf<Agent, 'usage'> {
    return { words: this.total.words, open: this.total.open };
  }
}
