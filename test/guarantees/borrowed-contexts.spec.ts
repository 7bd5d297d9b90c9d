import { setImmediate as turn } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  Catch,
  type ExceptionFilter,
  type ExecutionContext,
  type INestApplication,
  type NestInterceptor,
  UseFilters,
  UseInterceptors,
} from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  IsolatedWsAdapter,
  IsolationEventBus,
  UserExecutionContext,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import { type Observable, Subject, tap } from 'rxjs';

import { LiveCount } from '../support/live-count.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** The user as which code ran: [what, user]. */
let ran: [what: string, user: string][];
/** Shared by all connections, like a message broker. */
let feed: Subject<unknown>;
let settle: ((value: unknown) => void)[];
/** Objects that the process keeps forever. */
let kept: unknown[];
let timers: NodeJS.Timeout[];
let testApp: TestApp;

beforeEach(() => {
  ran = [];
  feed = new Subject();
  settle = [];
  kept = [];
  timers = [];
});
afterEach(async () => {
  await testApp.close();
  // After the app has closed, so that the timers of disconnect hooks are included.
  for (const timer of timers) clearInterval(timer);
});

function note(what: string): void {
  try {
    ran.push([what, UserExecutionContext.current().userId]);
  } catch (error) {
    ran.push([what, (error as { code: string }).code]);
  }
}

/** A reply that records the user as which it is serialized. */
const answer = {
  toJSON(): unknown {
    note('answer');
    return { event: 'answered' };
  },
};

function messageParser(frame: unknown): never {
  note('parser');
  return JSON.parse(String(frame)) as never;
}

/** A thenable that is not a native promise, like those of some query builders. */
class Later {
  // oxlint-disable-next-line unicorn/no-thenable -- on purpose
  then(resolve: (value: unknown) => void): void {
    settle.push(resolve);
  }
}

@Catch()
class NotingFilter implements ExceptionFilter {
  catch(): void {
    note('filter');
  }
}

class NotingInterceptor implements NestInterceptor {
  intercept(_context: ExecutionContext, next: CallHandler): Observable<unknown> {
    return next.handle().pipe(tap(() => note('interceptor')));
  }
}

@IsolatedGateway({ path: '/app' })
class AppGateway {
  @UseFilters(NotingFilter)
  @SubscribeMessage('listen')
  listen(): Observable<unknown> {
    return feed;
  }

  @SubscribeMessage('later') later(): unknown {
    return new Later();
  }

  @UseInterceptors(NotingInterceptor)
  @SubscribeMessage('listen behind an interceptor')
  listenBehind(): Observable<unknown> {
    return feed;
  }

  @UseInterceptors(NotingInterceptor)
  @SubscribeMessage('later behind an interceptor')
  laterBehind(): unknown {
    return new Later();
  }

  @SubscribeMessage('answer all') answerAll(): void {
    feed.next(answer);
    for (const resolve of settle) resolve(answer);
  }

  @SubscribeMessage('fail all') failAll(): void {
    feed.error(new Error('planned'));
  }

  /** Starts things that outlive the connection: a cached promise, and a timer of the process. */
  @SubscribeMessage('keep') keep(@CurrentManager() manager: WebSocketManager): unknown {
    keepSomething();
    manager.onDispose(keepSomething);
    manager.signal.addEventListener('abort', keepSomething);
    return { event: 'kept' };
  }

  handleDisconnect(): void {
    keepSomething();
  }
}

function keepSomething(): void {
  kept.push(turn().then(() => undefined));
  timers.push(setInterval(() => undefined, 1_000_000));
}

async function start(prepare?: (app: INestApplication) => void): Promise<void> {
  const providers = [AppGateway, NotingFilter];
  testApp = await startApp({ providers, ...(prepare && { prepare }) });
}

const open = (user: string): Promise<TestClient> => testApp.connect(`/app?user=${user}`);

describe('Work that another user triggers', () => {
  it.each([
    ['a stream of a source that connections share', 'listen'],
    ['the same behind an interceptor', 'listen behind an interceptor'],
    ['a thenable', 'later'],
    ['the same behind an interceptor', 'later behind an interceptor'],
  ])('is replied to as the user who sent the message: %s', async (_name, event) => {
    await start();
    const bob = await open('bob');
    bob.send(event);
    await eventually(() => expect(feed.observed || settle.length > 0).toBe(true));
    const ada = await open('ada');
    ada.send('answer all');
    await bob.next('answered');
    expect(new Set(ran.map(([, user]) => user))).toEqual(new Set(['bob']));
  });

  it('fails as the user who sent the message', async () => {
    await start();
    const bob = await open('bob');
    bob.send('listen');
    await eventually(() => expect(feed.observed).toBe(true));
    const ada = await open('ada');
    ada.send('fail all');
    await eventually(() => expect(ran).toEqual([['filter', 'bob']]));
  });
});

describe('A message parser of the app', () => {
  it('runs as the user whose message it reads', async () => {
    await start((app) => {
      app.useWebSocketAdapter(new IsolatedWsAdapter(app, { messageParser }));
    });
    for (const user of ['ada', 'bob']) await (await open(user)).ask('keep');
    expect(ran).toEqual([
      ['parser', 'ada'],
      ['parser', 'bob'],
    ]);
  });
});

describe('A listener for events', () => {
  it('runs outside of any connection even after it has ended one', async () => {
    await start();
    await open('bob');
    testApp.app.get(IsolationEventBus).on('message-handled', () => {
      for (const manager of testApp.app.get(WebSocketManagerFactory).managersOf('bob')) {
        void manager.close();
      }
      note('listener');
    });
    const ada = await open('ada');
    await ada.ask('keep');
    await eventually(() => expect(ran).toEqual([['listener', 'NO_ACTIVE_CONTEXT']]));
  });
});

describe('Work that a connection has started and the process keeps', () => {
  it('does not keep the connection alive', async () => {
    await start();
    const managers = new LiveCount();
    for (let round = 0; round < 5; round += 1) {
      const client = await open('ada');
      await client.ask('keep');
      managers.watch(testApp.app.get(WebSocketManagerFactory).managersOf('ada')[0]!);
      await client.close();
    }
    await eventually(() =>
      expect(testApp.app.get(WebSocketManagerFactory).getStats().currentState.activeManagers).toBe(
        0,
      ),
    );
    expect(timers).toHaveLength(20);
    await eventually(async () => expect(await managers.alive()).toBe(0));
  });
});
