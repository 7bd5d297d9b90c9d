import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Scope } from '@nestjs/common';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentContext,
  CurrentManager,
  IsolatedGateway,
  LeakDetector,
  UserExecutionContext,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

const disposed: string[] = [];

@Injectable({ scope: Scope.REQUEST })
class Drafts {
  readonly texts: string[] = [];
  constructor(readonly context: UserExecutionContext) {}
  [Symbol.asyncDispose](): Promise<void> {
    disposed.push(`drafts of ${this.context.userId}`);
    return Promise.resolve();
  }
}

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  constructor(
    private readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
    private readonly drafts: Drafts,
  ) {}

  @SubscribeMessage('whoami')
  whoami(): unknown {
    return {
      event: 'you',
      data: {
        userId: this.context.userId,
        same: this.manager.context === this.context && this.drafts.context === this.context,
        current: UserExecutionContext.current() === this.context,
      },
    };
  }

  @SubscribeMessage('draft')
  draft(@MessageBody('text') text: string): unknown {
    this.drafts.texts.push(text);
    return { event: 'drafts', data: this.drafts.texts };
  }

  onModuleDestroy(): void {
    disposed.push(`gateway of ${this.context.userId}`);
  }
}

@IsolatedGateway({ path: '/feed' })
class FeedGateway {
  @SubscribeMessage('next')
  async next(
    @CurrentContext() context: UserExecutionContext,
    @CurrentManager() manager: WebSocketManager,
  ): Promise<unknown> {
    await Promise.resolve();
    return { event: 'next', data: [context.threadId, manager.context === context] };
  }
}

describe('a connection', () => {
  let testApp: TestApp;
  afterEach(() => testApp.close());

  it('has its own context, manager and scope, and leaves nothing behind', async () => {
    testApp = await startApp({ providers: [ChatGateway, Drafts] });
    const ada = await TestClient.open(testApp.url('/chat?user=ada'));
    const bob = await TestClient.open(testApp.url('/chat?user=bob'));
    await expect(ada.ask('whoami')).resolves.toEqual({
      event: 'you',
      data: { userId: 'ada', same: true, current: true },
    });
    await bob.ask('draft', { text: 'hi' });
    await expect(ada.ask('draft', { text: 'hello' })).resolves.toMatchObject({ data: ['hello'] });
    const factory = testApp.app.get(WebSocketManagerFactory);
    expect(factory.managersOf('ada')).toHaveLength(1);

    await ada.close();
    await eventually(() => expect(factory.managersOf('ada')).toHaveLength(0));
    await eventually(() => expect(disposed).toEqual(['gateway of ada', 'drafts of ada']));
    await bob.close();
    await eventually(() =>
      expect(testApp.app.get(LeakDetector).getReport()).toEqual({
        ledger: { created: 2, active: 0, disposed: 2 },
        suspects: [],
      }),
    );
  });

  it('gives its objects to a singleton gateway as parameters', async () => {
    testApp = await startApp({ providers: [FeedGateway] });
    const ada = await TestClient.open(testApp.url('/feed?user=ada&thread=tea'));
    await expect(ada.ask('next')).resolves.toEqual({ event: 'next', data: ['tea', true] });
  });
});
