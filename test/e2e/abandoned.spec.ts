import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable, Scope } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  LeakDetector,
  UserExecutionContext,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, expectNoLeaks, TestClient } from 'nestjs-websocket-isolation/testing';
import { Observable } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

let settle: (() => void)[];
const hang = (): Promise<void> => new Promise((resolve) => settle.push(resolve));
const hangs = (place: string, { userId }: UserExecutionContext): Promise<void> | undefined =>
  userId === place ? hang() : undefined;

@Injectable({ scope: Scope.TRANSIENT })
class Helper {
  constructor(readonly context: UserExecutionContext) {}

  [Symbol.asyncDispose](): Promise<void> | undefined {
    return hangs('helper', this.context);
  }
}

@IsolatedGateway({ path: '/given-up' })
class GivenUpGateway {
  constructor(
    readonly helper: Helper,
    readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
  ) {}

  handleConnection(): Promise<void> | undefined {
    if (this.context.userId === 'onDispose') {
      this.manager.onDispose(function unsubscribe() {
        return hang();
      });
    }
    return hangs('handleConnection', this.context);
  }

  handleDisconnect(): Promise<void> | undefined {
    return hangs('handleDisconnect', this.context);
  }

  @SubscribeMessage('work')
  async work(@CurrentManager() manager: WebSocketManager): Promise<void> {
    manager.send('working');
    await hang();
  }

  @SubscribeMessage('stream')
  stream(): Observable<unknown> {
    return new Observable((subscriber) => {
      subscriber.next({ event: 'streaming' });
      return () => {
        throw new Error('planned teardown failure');
      };
    });
  }

  [Symbol.asyncDispose](): Promise<void> | undefined {
    return hangs('gateway', this.context);
  }
}

let app: TestApp;
beforeEach(async () => {
  settle = [];
  app = await startApp({
    providers: [GivenUpGateway, Helper],
    options: { cleanup: { disposeTimeoutMs: 20 }, handshake: { timeoutMs: 2_000 } },
  });
});
afterEach(async () => {
  endAll();
  await app.close();
});

// Resolves the hanging promises. Their resolvers would keep the connection reachable.
function endAll(): void {
  for (const end of settle) end();
  settle = [];
}

const suspects = () => app.app.get(LeakDetector).getReport().suspects;
const ledger = () => app.app.get(LeakDetector).getReport().ledger;

function connect(user: string, thread = 'tea'): Promise<TestClient> {
  return TestClient.open(app.url(`/given-up?user=${user}&thread=${thread}`));
}

function registerHanging(user: string, disposers: number): void {
  for (const manager of app.app.get(WebSocketManagerFactory).managersOf(user)) {
    for (let left = disposers; left > 0; left -= 1) manager.onDispose(hang);
  }
}

describe('abandoned work', () => {
  it.each([
    ['handleConnection', 'handleConnection'],
    ['handleDisconnect', 'handleDisconnect'],
    ['onDispose', 'onDispose unsubscribe'],
    ['gateway', 'dispose GivenUpGateway'],
    ['helper', 'dispose Helper'],
    ['handler', 'message handlers'],
  ])('in %s is listed until it ends', async (place, label) => {
    // Nest creates the first scope, and the library's plan creates the later ones.
    const first = await connect('first');
    await first.close();
    const client = await connect(place);
    if (place === 'handler') {
      client.send('work');
      await client.next('working');
    }
    if (place === 'handleConnection') await client.closed();
    else await client.close();
    await eventually(() => expect(ledger().active).toBe(0));
    const connectionId = expect.stringMatching(/^conn_/) as unknown;
    const isolationKey = `${place}:tea`;
    const ageMs = expect.any(Number) as unknown;
    const suspect = { cause: 'abandoned', label, connectionId, threadId: 'tea', isolationKey };
    expect(suspects()).toEqual([{ ...suspect, ageMs }]);
    expect(app.app.get(LeakDetector).abandoned).toBe(1);
    await expect(expectNoLeaks(app.app, 20)).rejects.toThrow(
      place === 'handler' ? '1 × running handlers' : `1 × abandoned (${label}) conn_`,
    );
    endAll();
    await expectNoLeaks(app.app);
    expect(app.app.get(LeakDetector).abandoned).toBe(0);
  });

  it('is listed up to a bound, and always counted', async () => {
    const clients = await Promise.all(
      Array.from({ length: 15 }, (_, thread) => connect('many', `tea-${thread}`)),
    );
    registerHanging('many', 20);
    await Promise.all(clients.map((client) => client.close()));
    const detector = app.app.get(LeakDetector);
    await eventually(() => expect(detector.abandoned).toBe(300));
    expect(suspects()).toHaveLength(256);
    endAll();
    await expectNoLeaks(app.app);
    expect(detector.abandoned).toBe(0);
  });
});

describe('a stream whose teardown throws', () => {
  it('does not block the end of the connection', async () => {
    const client = await connect('ada');
    client.send('stream');
    await client.next('streaming');
    await client.close();
    await expectNoLeaks(app.app);
    const next = await connect('ada');
    await next.close();
    await eventually(() => expect(ledger()).toMatchObject({ created: 2, active: 0 }));
  });
});
