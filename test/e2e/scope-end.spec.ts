import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable, Scope } from '@nestjs/common';
import { ContextIdFactory, ModuleRef } from '@nestjs/core';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  LeakDetector,
  UserExecutionContext,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { LiveCount } from '../support/live-count.js';
import { startApp, type TestApp } from '../support/test-app.js';

let live: LiveCount;
// Clients that a careless app keeps after their connections have ended.
let kept: object[];

@Injectable({ scope: Scope.REQUEST })
class Draft {
  constructor(readonly context: UserExecutionContext) {
    live.watch(this);
  }
}

@IsolatedGateway({ path: '/kept' })
class KeptGateway {
  constructor(
    readonly draft: Draft,
    readonly manager: WebSocketManager,
    private readonly moduleRef: ModuleRef,
  ) {
    live.watch(this);
    live.watch(manager);
  }

  handleConnection(client: object): void {
    kept.push(client);
  }

  @SubscribeMessage('name')
  async name(client: object): Promise<unknown> {
    const contextId = ContextIdFactory.getByRequest(client);
    const draft = await this.moduleRef.resolve(Draft, contextId);
    return { event: 'name', data: { id: contextId.id, isOwn: draft === this.draft } };
  }
}

let testApp: TestApp;
beforeEach(async () => {
  live = new LiveCount();
  kept = [];
  testApp = await startApp({ providers: [KeptGateway, Draft] });
});
afterEach(() => testApp.close());

async function gone(clients: readonly TestClient[]): Promise<void> {
  await Promise.all(clients.map((client) => client.close()));
  const detector = testApp.app.get(LeakDetector);
  await eventually(() => expect(detector.getReport().ledger.active).toBe(0));
}

describe('a client that is kept after its connection has ended', () => {
  it('keeps no objects of the connection alive, and has an empty scope of its own', async () => {
    // Nest creates the first scope and gives it a context id.
    await gone([await TestClient.open(testApp.url('/kept?user=first'))]);
    kept = [];
    const users = Array.from({ length: 12 }, (_, index) => `user-${index}`);
    const urls = users.map((user) => testApp.url(`/kept?user=${user}`));
    await gone(await Promise.all(urls.map((url) => TestClient.open(url))));
    expect(kept).toHaveLength(12);
    // A gateway, a draft and a manager per connection.
    expect(live.watched).toBe(39);
    await eventually(async () => expect(await live.alive()).toBe(0));

    const names = kept.map((client) => ContextIdFactory.getByRequest(client));
    expect(new Set(names).size).toBe(12);
    expect(kept.map((client) => ContextIdFactory.getByRequest(client))).toEqual(names);
    const moduleRef = testApp.app.get(ModuleRef);
    await expect(moduleRef.resolve(Draft, names[0], { strict: false })).rejects.toMatchObject({
      code: 'NO_CONNECTION',
    });
  });

  it('keeps its context id', async () => {
    const client = await TestClient.open(testApp.url('/kept?user=ada'));
    const { data } = await client.ask('name');
    expect(data).toEqual({ id: expect.any(Number), isOwn: true });
    await gone([client]);
    expect(ContextIdFactory.getByRequest(kept[0]!).id).toBe((data as { id: number }).id);
  });
});
