import { setImmediate as turn } from 'node:timers/promises';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  IsolationEventBus,
  UserExecutionContext,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, FakeClock, type TestClient } from 'nestjs-websocket-isolation/testing';

import { TrafficCounters } from '../../src/connection/traffic-counters.js';
import { startApp, type TestApp } from '../support/test-app.js';

type Way = (factory: WebSocketManagerFactory, manager: WebSocketManager) => Promise<unknown>;

/** All awaitable functions of the library that end the connection of the caller. */
const WAYS: Readonly<Record<string, Way>> = {
  'manager.close()': (_factory, manager) => manager.close(),
  'disconnect()': (factory, { context }) => factory.disconnect({ userId: context.userId }),
  'disconnectUser()': (factory, { context }) => factory.disconnectUser(context.userId),
  'disconnectThread()': (factory, { context }) =>
    factory.disconnectThread(context.userId, context.threadId),
  'cleanupUser()': (factory, { context }) => factory.cleanupUser(context.userId),
  'cleanupManager()': (factory, { context }) => factory.cleanupManager(context.connectionId),
  'createManager() of the same connection': (factory, manager) => {
    void manager.close();
    return factory.createManager(manager.context);
  },
  'shutdown()': (factory) => factory.shutdown(),
  'app.close()': () => testApp.app.close(),
};

let story: string[];
let way: Way;
let testApp: TestApp;
/** A fake clock that stands still: no test may depend on a deadline. */
let clock: FakeClock;
let givenUp: string[];
let release!: () => void;
let released!: Promise<void>;
beforeEach(() => {
  story = [];
  givenUp = [];
  clock = new FakeClock();
  released = new Promise((resolve) => (release = resolve));
});
afterEach(() => testApp.close());

@IsolatedGateway({ path: '/app' })
class AppGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
    readonly factory: WebSocketManagerFactory,
  ) {}

  handleConnection(): void {
    this.manager.onDispose(() => void story.push(`${this.context.userId} disposed`));
  }

  handleDisconnect(): void {
    story.push(`${this.context.userId} disconnected`);
  }

  @SubscribeMessage('end me') async endMe(): Promise<void> {
    await way(this.factory, this.manager);
    story.push('handler ends');
  }

  /** Ends the connection without awaiting the end, and continues to work. */
  @SubscribeMessage('end me and work') async endMeAndWork(): Promise<void> {
    void this.manager.close();
    await released;
    story.push('handler ends');
  }

  @SubscribeMessage('work') async work(): Promise<void> {
    await released;
    story.push('other handler ends');
  }

  @SubscribeMessage('end each other') async endEachOther(
    @MessageBody() other: string,
  ): Promise<void> {
    await released;
    await this.factory.disconnectUser(other);
    story.push(`handler of ${this.context.userId} ends`);
  }
}

@IsolatedGateway({ path: '/hooks' })
class HooksGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
    readonly factory: WebSocketManagerFactory,
  ) {}

  async handleConnection(): Promise<void> {
    this.manager.onDispose(() => void story.push('disposed'));
    if (this.context.userId !== 'entering') return;
    await way(this.factory, this.manager);
    story.push('connect hook ends');
  }

  async handleDisconnect(): Promise<void> {
    if (this.context.userId === 'entering') return;
    await way(this.factory, this.manager);
    story.push('disconnect hook ends');
  }
}

@IsolatedGateway({ path: '/disposer' })
class DisposerGateway {
  constructor(
    readonly manager: WebSocketManager,
    readonly factory: WebSocketManagerFactory,
  ) {}

  handleConnection(): void {
    this.manager.onDispose(() => void story.push('second disposer'));
    this.manager.onDispose(async () => {
      await way(this.factory, this.manager);
      story.push('disposer ends');
    });
  }
}

/** One disposer awaits the end of its connection twice, and the next one is slow. */
@IsolatedGateway({ path: '/patient' })
class PatientGateway {
  constructor(readonly manager: WebSocketManager) {}

  handleConnection(): void {
    this.manager.onDispose(async () => {
      await released;
      story.push('slow disposer ends');
    });
    this.manager.onDispose(async () => {
      const again = turn().then(async () => {
        story.push('asked again');
        await this.manager.close();
      });
      await Promise.all([this.manager.close(), again]);
      story.push('disposer ends');
    });
  }
}

async function start(): Promise<void> {
  testApp = await startApp({
    providers: [AppGateway, HooksGateway, DisposerGateway, PatientGateway],
    options: { clock },
  });
  testApp.app.get(IsolationEventBus).on('hook-failed', ({ hook }) => void givenUp.push(hook));
}

const open = (path: string, user = 'ada'): Promise<TestClient> =>
  testApp.connect(`${path}?user=${user}`);

async function told(...lines: string[]): Promise<void> {
  await eventually(() => expect(story.toSorted()).toEqual(lines.toSorted()));
}

describe('A handler that awaits the end of its own connection', () => {
  it.each(Object.entries(WAYS))(
    'by %s continues when everything else has ended',
    async (_name, given) => {
      way = given;
      await start();
      const client = await open('/app');
      client.send('end me');
      await told('ada disconnected', 'ada disposed', 'handler ends');
      expect(story.at(-1)).toBe('handler ends');
      expect(givenUp).toEqual([]);
    },
  );

  it('waits for the other handlers of the connection', async () => {
    way = WAYS['disconnectUser()']!;
    await start();
    const client = await open('/app');
    client.send('work');
    client.send('end me');
    await client.closed();
    await turn();
    expect(story).toEqual(['ada disconnected']);
    release();
    await told('ada disconnected', 'other handler ends', 'ada disposed', 'handler ends');
    expect(story.slice(0, 2)).toEqual(['ada disconnected', 'other handler ends']);
  });

  it('is awaited if it does not await the end', async () => {
    await start();
    const client = await open('/app');
    client.send('end me and work');
    await client.closed();
    await turn();
    expect(story).toEqual(['ada disconnected']);
    release();
    await told('ada disconnected', 'handler ends', 'ada disposed');
    expect(story.at(-1)).toBe('ada disposed');
  });

  it('does not deadlock with handlers that end each other’s connections', async () => {
    await start();
    const users = ['ada', 'bob', 'eve'];
    const clients = await Promise.all(users.map((user) => open('/app', user)));
    clients.forEach((client, index) => client.send('end each other', users[(index + 1) % 3]));
    await eventually(() =>
      expect(testApp.app.get(TrafficCounters, { strict: false }).inFlight).toBe(3),
    );
    release();
    await told(
      ...users.flatMap((user) => [
        `${user} disconnected`,
        `${user} disposed`,
        `handler of ${user} ends`,
      ]),
    );
    expect(givenUp).toEqual([]);
  });
});

describe.each(Object.entries(WAYS).filter(([name]) => name !== 'app.close()'))(
  'A hook or disposer that awaits the end of its own connection by %s',
  (_name, given) => {
    it.each([
      ['connect hook', '/hooks', 'entering', ['disposed', 'connect hook ends']],
      ['disconnect hook', '/hooks', 'leaving', ['disposed', 'disconnect hook ends']],
      ['disposer', '/disposer', 'ada', ['second disposer', 'disposer ends']],
    ])('is not awaited: %s', async (_what, path, user, lines) => {
      way = given;
      await start();
      const client = await open(path, user);
      await client.close();
      await told(...lines);
      expect(givenUp).toEqual([]);
    });
  },
);

describe('A disposer that awaits the end of its own connection', () => {
  it('does not block the end, which still awaits the other disposers', async () => {
    await start();
    const client = await open('/patient');
    const [manager] = testApp.app.get(WebSocketManagerFactory).managersOf('ada');
    await client.close();
    await told('asked again');
    for (let turns = 0; turns < 5; turns += 1) await turn();
    expect(manager!.state).toBe('closing');
    release();
    await told('asked again', 'slow disposer ends', 'disposer ends');
    expect(story.at(-1)).toBe('disposer ends');
  });
});
