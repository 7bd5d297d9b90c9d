import { setImmediate as turn } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  Catch,
  type ExceptionFilter,
  Inject,
  Injectable,
  Scope,
  UseFilters,
} from '@nestjs/common';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  type Clock,
  CLOCK,
  IsolatedGateway,
  IsolationEventBus,
  UserExecutionContext,
  type WebSocketIsolationOptions,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, FakeClock, TestClient } from 'nestjs-websocket-isolation/testing';
import { Observable } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

/** The user as which code of a connection ran: [owner, what ran, user]. */
let seen: [owner: string, what: string, user: string][] = [];

function currentUser(): string {
  try {
    return UserExecutionContext.current().userId;
  } catch (error) {
    return (error as { code: string }).code;
  }
}

async function note(owner: string, what: string): Promise<void> {
  seen.push([owner, what, currentUser()]);
  await turn();
  seen.push([owner, `${what}, after an await`, currentUser()]);
}

const MADE = Symbol('made by a factory');
const madeByFactory = {
  provide: MADE,
  scope: Scope.REQUEST,
  inject: [UserExecutionContext],
  useFactory: async ({ userId }: UserExecutionContext) => {
    await note(userId, 'factory');
    return { userId };
  },
};

/** A transient dependency, so that Nest resolves the whole scope instead of the library's plan. */
@Injectable({ scope: Scope.TRANSIENT })
class Helper {}

@Injectable({ scope: Scope.REQUEST })
class Notes {
  constructor(
    readonly context: UserExecutionContext,
    @Inject(MADE) readonly made: object,
  ) {
    void note(context.userId, 'constructor');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await note(this.context.userId, 'asyncDispose');
  }
}

@Catch()
class AnsweringFilter implements ExceptionFilter {
  async catch(_error: unknown, host: ArgumentsHost): Promise<void> {
    const client = host.switchToWs().getClient<{ owner?: string }>();
    await note(client.owner ?? '?', 'filter');
  }
}

@Injectable()
class AppGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
    readonly factory: WebSocketManagerFactory,
    readonly notes: Notes,
  ) {}

  async handleConnection(client: { owner?: string }): Promise<void> {
    const { userId } = this.context;
    client.owner = userId;
    this.manager.onDispose(() => note(userId, 'onDispose'));
    this.manager.signal.addEventListener('abort', () => void note(userId, 'abort'));
    await note(userId, 'handleConnection');
  }

  async handleDisconnect(): Promise<void> {
    await note(this.context.userId, 'handleDisconnect');
  }

  @SubscribeMessage('stream') stream(): Observable<unknown> {
    const { userId } = this.context;
    return new Observable((subscriber) => {
      subscriber.next({ event: 'streaming' });
      return () => void note(userId, 'teardown');
    });
  }

  /** Ends bob's connection from a handler of another user. */
  @SubscribeMessage('do') async do(@MessageBody() way: string): Promise<unknown> {
    const [bob] = this.factory.managersOf('bob');
    await WAYS[way]!(this.factory, bob!);
    await eventually(() => expect(bob!.state).toBe('closed'));
    return { event: 'done', data: currentUser() };
  }

  @UseFilters(AnsweringFilter)
  @SubscribeMessage('fail')
  async fail(): Promise<never> {
    await turn();
    throw new Error('planned');
  }
}

@IsolatedGateway({ path: '/app' })
class PlannedGateway extends AppGateway {}

@IsolatedGateway({ path: '/app' })
class GatewayWithHelper extends AppGateway {
  constructor(
    context: UserExecutionContext,
    manager: WebSocketManager,
    factory: WebSocketManagerFactory,
    notes: Notes,
    readonly helper: Helper,
  ) {
    super(context, manager, factory, notes);
  }
}

type Way = (factory: WebSocketManagerFactory, bob: WebSocketManager) => unknown;

/** The ways in which a handler of a user can end a connection of another user. */
const WAYS: Readonly<Record<string, Way>> = {
  'disconnectUser()': (factory) => factory.disconnectUser('bob'),
  'disconnectThread()': (factory, bob) => factory.disconnectThread('bob', bob.context.threadId),
  'manager.close()': (_factory, bob) => bob.close(),
  'close() of the socket': (_factory, bob) => bob.socket!.close(4000),
  'terminate() of the socket': (_factory, bob) => bob.socket!.terminate(),
  'cleanupUser()': (factory) => factory.cleanupUser('bob'),
  'cleanupManager()': (factory, bob) => factory.cleanupManager(bob.context.connectionId),
  'a message that makes a slow reader': (_factory, bob) => {
    const text = 'x'.repeat(1_048_576);
    while (bob.isActive) bob.send('flood', text);
  },
  'a lowered limit': (factory) => factory.setLimits({ maxManagers: 1 }),
};

const END = ['abort', 'teardown', 'handleDisconnect', 'onDispose', 'asyncDispose'];

let testApp: TestApp;
let clock: FakeClock | undefined;
beforeEach(() => {
  seen = [];
  clock = undefined;
});
afterEach(() => testApp.close());

async function start(
  gateway: typeof PlannedGateway | typeof GatewayWithHelper = PlannedGateway,
  options: WebSocketIsolationOptions = {},
): Promise<void> {
  const providers = [gateway, Helper, Notes, madeByFactory, AnsweringFilter];
  testApp = await startApp({ providers, options: { ...options, clock } });
}

async function open(user: string): Promise<TestClient> {
  const client = await testApp.connect(`/app?user=${user}`);
  client.send('stream');
  await client.next('streaming');
  return client;
}

/** Waits until all of this has run for a user. Resolves with the entries that ran as another user. */
async function ranAsAnother(owner: string, what: readonly string[]): Promise<typeof seen> {
  const expected = what.flatMap((name) => [name, `${name}, after an await`]);
  await eventually(() => {
    const ran = seen.filter(([of]) => of === owner).map(([, name]) => name);
    expect(ran).toEqual(expect.arrayContaining(expected));
  });
  return seen.filter(([of, , user]) => of !== user);
}

describe.each([
  ['planned', PlannedGateway],
  ['resolved by Nest', GatewayWithHelper],
] as const)('Code of a connection whose scope is %s', (_name, gateway) => {
  it('runs as its user from the constructor on', async () => {
    await start(gateway);
    const bob = await open('bob');
    bob.send('fail');
    const what = ['factory', 'constructor', 'handleConnection', 'filter'];
    expect(await ranAsAnother('bob', what)).toEqual([]);
  });

  it.each(Object.keys(WAYS))(
    'runs as its user when another user’s handler ends it: %s',
    async (way) => {
      await start(gateway, { outbound: { maxBufferedBytes: 1_024 } });
      const bob = await open('bob');
      if (way.includes('slow')) bob.socket.pause();
      const ada = await open('ada');
      // Ada is active last, so the lowered limit removes bob's connection.
      ada.send('do', way);
      bob.socket.resume();
      expect(await ada.next('done')).toEqual({ event: 'done', data: 'ada' });
      expect(await ranAsAnother('bob', END)).toEqual([]);
    },
  );
});

describe('Code of a connection', () => {
  it('runs as its user when the client closes', async () => {
    await start();
    const bob = await open('bob');
    await bob.close();
    expect(await ranAsAnother('bob', END)).toEqual([]);
  });

  it('runs as its user when the connection is cut', async () => {
    await start();
    const bob = await open('bob');
    bob.terminate();
    expect(await ranAsAnother('bob', END)).toEqual([]);
  });

  it('runs as its user when the process ends', async () => {
    await start();
    await open('bob');
    await testApp.app.close();
    expect(await ranAsAnother('bob', END)).toEqual([]);
  });

  it.each([
    ['the heartbeat', { heartbeat: { intervalMs: 1_000, timeoutMs: 1_000 } }],
    ['idleness', { cleanup: { idleTimeoutMs: 3_000, proactiveIntervalMs: 1_000 } }],
  ])('runs as its user when %s ends it', async (_name, options) => {
    clock = new FakeClock();
    await start(PlannedGateway, options);
    const bob = await open('bob');
    bob.socket.pause();
    await eventually(async () => {
      await clock!.advance(1_000);
      expect(testApp.app.get(WebSocketManagerFactory).managersOf('bob')).toEqual([]);
    });
    bob.terminate();
    expect(await ranAsAnother('bob', END)).toEqual([]);
  });
});

describe('Code of the process', () => {
  it('that listens to events runs outside of any connection', async () => {
    await start();
    const users: string[] = [];
    testApp.app.get(IsolationEventBus).onAny(() => void users.push(currentUser()));
    await open('bob');
    const ada = await open('ada');
    ada.send('do', 'disconnectUser()');
    await ada.next('done');
    expect(users.length).toBeGreaterThan(0);
    expect(new Set(users)).toEqual(new Set(['NO_ACTIVE_CONTEXT']));
  });

  it('that a timer calls runs outside of the connection whose handler has started it', async () => {
    await start();
    const system = testApp.app.get<Clock>(CLOCK, { strict: false });
    const users: string[] = [];
    const context = UserExecutionContext.fromWebSocketRequest({ userId: 'ada' });
    const { runInContext } = await import('../../src/context/running-code.js');
    const releases = runInContext(
      { context, waits: () => () => undefined },
      () => [
        system.after(1, () => void users.push(currentUser())),
        system.every(1, () => void users.push(currentUser())),
      ],
      undefined,
    );
    await eventually(() => expect(users.length).toBeGreaterThan(2));
    for (const release of releases) release();
    expect(new Set(users)).toEqual(new Set(['NO_ACTIVE_CONTEXT']));
  });
});
