import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Injectable, type OnModuleDestroy, Scope } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  IsolatedGateway,
  IsolationEventBus,
  type IsolationEventName,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import {
  eventually,
  expectNoLeaks,
  FakeClock,
  TestClient,
} from 'nestjs-websocket-isolation/testing';

import { LiveCount } from '../support/live-count.js';
import { queryAuthenticator, startApp, type TestApp } from '../support/test-app.js';

const DAY = 86_400_000;
const clock = new FakeClock();
/** How many instances of the scoped provider were made, and disposed of. */
const scopes = { made: 0, disposed: 0, live: new LiveCount() };
let connectHooks = 0;
let pongs = 0;

@Injectable()
class Tokens implements ConnectionAuthenticator {
  authenticate(request: { url?: string | undefined }): ConnectionIdentity | null {
    const identity = queryAuthenticator(request);
    return identity && { ...identity, expiresAt: clock.epoch() + DAY };
  }

  renew(_context: unknown, credentials: unknown): ConnectionIdentity | null {
    if (credentials !== 'good') return null;
    const metadata = { renewed: true };
    return { userId: 'ada', threadId: 'one', expiresAt: clock.epoch() + 2 * DAY, metadata };
  }
}

@Injectable({ scope: Scope.REQUEST })
class Part implements OnModuleDestroy {
  constructor() {
    scopes.made += 1;
    scopes.live.watch(this);
  }

  onModuleDestroy(): void {
    scopes.disposed += 1;
  }
}

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  constructor(
    readonly part: Part,
    private readonly manager: WebSocketManager,
  ) {}

  handleConnection(): void {
    connectHooks += 1;
  }

  @SubscribeMessage('say')
  say(): object {
    return { event: 'said' };
  }

  @SubscribeMessage('fail')
  fail(): never {
    throw new Error('a fault of the app');
  }

  @SubscribeMessage('count')
  async *count(): AsyncGenerator<object> {
    yield { event: 'counted', data: 1 };
  }

  @SubscribeMessage('ask')
  ask(): void {
    const controller = new AbortController();
    this.manager.ask('sure?', undefined, { signal: controller.signal }).catch(() => undefined);
    controller.abort();
  }

  @SubscribeMessage('ping')
  ping(): void {
    this.manager.ping();
  }
}

/** All that a client says. The last message ends its connection. */
async function talk(client: TestClient): Promise<void> {
  let isClosed = false;
  const closed = client.closed().then(() => void (isClosed = true));
  const messages: [string, unknown?][] = [
    ['say'],
    ['fail'],
    ['count'],
    ['ask'],
    ['unknown'],
    ['say', { threadId: 'another' }],
    ['subscribe', { topic: 'room' }],
    ['subscribe', { topic: 'past', position: 'gone.7' }],
    ['subscribe', { topic: '' }],
    ['unsubscribe', { topic: 'room' }],
    ['renew', 'good'],
  ];
  messages.forEach(([event, data], id) => client.send(event, data, id));
  const heard = new Set<string>();
  await eventually(() => {
    for (const { event } of client.messages) heard.add(event);
    expect(isClosed || (heard.has('renewed') && heard.has('resume'))).toBe(true);
  });
  // Apart from the others: any message answers a ping.
  if (!isClosed) client.send('ping');
  await eventually(() => expect(isClosed || pongs > 0).toBe(true));
  if (!isClosed) client.send('renew', 'bad', 'last');
  await closed;
}

const EVENTS: IsolationEventName[] = [
  'manager-created',
  'connection-opened',
  'connection-ready',
  'message-handled',
  'handler-failed',
  'stream-ended',
  'ask-ended',
  'ping-answered',
  'message-dropped',
  'thread-inconsistent',
  'thread-mismatch',
  'topic-joined',
  'topic-refused',
  'topic-left',
  'resume-gap',
  'identity-renewed',
  'renewal-refused',
  'manager-closing',
  'connection-closed',
  'manager-disposed',
];

describe('A listener that closes the connection in the middle of', () => {
  let app: TestApp;
  let factory: WebSocketManagerFactory;
  let bus: IsolationEventBus;
  let timers: number;
  beforeAll(async () => {
    app = await startApp({
      providers: [Tokens, Part, ChatGateway],
      options: {
        clock,
        authenticator: Tokens,
        limits: { maxManagersPerUser: 5 },
        resume: {},
        topics: { authorizer: () => true, history: {}, presence: true },
      },
    });
    factory = app.app.get(WebSocketManagerFactory);
    bus = app.app.get(IsolationEventBus);
    bus.on('ping-answered', () => void (pongs += 1));
    // The timers of the process, such as the heartbeat's and those of histories, start with the first connection.
    await visit();
    await clock.advance(1_000);
    timers = clock.pendingTimers;
  });
  afterAll(() => app.close());
  beforeEach(() => {
    Object.assign(scopes, { made: 0, disposed: 0, live: new LiveCount() });
    connectHooks = 0;
    pongs = 0;
  });

  // Keeps nothing of the connection.
  async function visit(): Promise<TestClient['closeCode']> {
    const opened = TestClient.open(app.url('/chat?user=ada&thread=one'));
    const client = await opened.catch(() => undefined);
    if (client) await talk(client);
    await eventually(() => expect(factory.getStats().factoryMetrics.managersActive).toBe(0));
    return client?.closeCode;
  }

  it.each(EVENTS)('%s leaves nothing behind', async (name) => {
    let heard = 0;
    const release = bus.on(name, () => {
      heard += 1;
      void factory.disconnectUser('ada', { code: 4_999 });
    });
    await visit();
    release();
    expect(heard).toBeGreaterThan(0);
    // Presence events that were about to be sent.
    await clock.advance(1_000);
    await expectNoLeaks(app.app);
    expect(scopes.disposed).toBe(scopes.made);
    expect(clock.pendingTimers).toBeLessThanOrEqual(timers);
    await eventually(async () => expect(await scopes.live.alive()).toBe(0));
  });

  it('connection-opened ends it before any code of the app sees the socket', async () => {
    const release = bus.on('connection-opened', () => {
      void factory.disconnectUser('ada', { code: 4_999, reason: 'banned' });
    });
    expect(await visit()).toBe(4_999);
    release();
    expect(connectHooks).toBe(0);
    expect(scopes).toMatchObject({ made: 1, disposed: 1 });
  });

  it('manager-created while the arrival waits for its slot makes no scope that nothing disposes of', async () => {
    const url = app.url('/chat?user=ada&thread=one');
    const tabs = await Promise.all(Array.from({ length: 4 }, () => TestClient.open(url)));
    // The tabs are stale, so the next arrival waits until they have made room.
    clock.jump(DAY / 2);
    const release = bus.on('manager-created', () => void factory.disconnectUser('ada'));
    await expect(TestClient.open(url)).rejects.toThrow('503');
    release();
    await Promise.all(tabs.map((tab) => tab.closed()));
    await expectNoLeaks(app.app);
    expect(scopes).toMatchObject({ made: tabs.length, disposed: tabs.length });
  });

  it('manager-removed closes the next in line as well, and the sweep goes on with the others', async () => {
    const tabs: TestClient[] = [];
    for (const user of ['ada', 'ada', 'bob', 'eve']) {
      tabs.push(await TestClient.open(app.url(`/chat?user=${user}&thread=one`)));
    }
    clock.jump(DAY / 2);
    const release = bus.on('manager-removed', ({ subject }) => {
      void factory.disconnectUser(subject.userId);
    });
    await factory.cleanupExpired();
    release();
    for (const tab of tabs) await tab.closed();
    expect(tabs.map(({ closeCode }) => closeCode)).toEqual([4_401, 4_401, 4_401, 4_401]);
  });
});
