import { afterEach, describe, expect, it } from '@jest/globals';
import { ForbiddenException, Inject, Injectable } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentManager,
  InvalidTopicError,
  IsolatedGateway,
  ManagerClosedError,
  TopicLimitError,
  TopicPresence,
  type TopicsOptions,
  type UserExecutionContext,
  UserExecutionContext as Context,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import {
  eventually,
  expectNoLeaks,
  FakeClock,
  TestClient,
} from 'nestjs-websocket-isolation/testing';

import type { TopicKey } from '../../src/history/history-key.js';
import type { MemoryHistory } from '../../src/history/memory-history.js';
import { Topics } from '../../src/topics/topics.service.js';
import { SettableClock } from '../support/settable-clock.js';
import { startApp, type TestApp } from '../support/test-app.js';

const ignore = (): void => undefined;

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  @SubscribeMessage('where')
  where(@CurrentManager() manager: WebSocketManager): unknown {
    return { event: 'where', data: [...manager.topics] };
  }
}

let testApp: TestApp;
const clients: TestClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate();
  await testApp.close();
});

type Given = Partial<Omit<TopicsOptions, 'history'>> & {
  history?: Partial<NonNullable<TopicsOptions['history']>>;
};

async function start(topics: Given = {}, more: Parameters<typeof startApp>[0] = {}): Promise<void> {
  testApp = await startApp({
    ...more,
    providers: [ChatGateway, ...(more.providers ?? [])],
    options: { topics, ...more.options },
  });
}

async function connect(user: string): Promise<{ client: TestClient; manager: WebSocketManager }> {
  const factory = testApp.app.get(WebSocketManagerFactory);
  const before = new Set(factory.managersOf(user));
  const client = await testApp.connect(`/chat?user=${user}`);
  clients.push(client);
  await eventually(() => expect(factory.managersOf(user).length).toBeGreaterThan(before.size));
  const manager = factory.managersOf(user).find((each) => !before.has(each))!;
  return { client, manager };
}

async function subscriber(): ReturnType<typeof connect> {
  const connected = await connect('ada');
  await connected.client.subscribe('tea');
  return connected;
}

const emitter = (): WebSocketEmitter => testApp.app.get(WebSocketEmitter);
const presence = (): TopicPresence => testApp.app.get(TopicPresence);
const frames = ({ messages }: TestClient, event: string): unknown[] =>
  messages.filter((message) => message.event === event);

describe('topics, joined by code of the server', () => {
  it('get what is sent to them, once, with the topic', async () => {
    await start();
    const [ada, bob, eve] = await Promise.all(['ada', 'bob', 'eve'].map(connect));
    await ada!.manager.join('room:7');
    await bob!.manager.join('room:7');
    expect(emitter().toTopic('room:7').send('said', { text: 'hi' })).toEqual({
      sent: 2,
      queued: 0,
      dropped: 0,
    });
    const delivery = { event: 'said', data: { text: 'hi' }, topic: 'room:7' };
    expect(await ada!.client.next()).toEqual(delivery);
    expect(await bob!.client.next()).toEqual(delivery);
    expect((await eve!.client.ask('where')).data).toEqual([]);
    expect((await ada!.client.ask('where')).data).toEqual(['room:7']);
  });

  it('leave out the connection, or the user, that is excepted', async () => {
    await start();
    const [first, second, bob] = [await connect('ada'), await connect('ada'), await connect('bob')];
    for (const { manager } of [first, second, bob]) await manager.join('tea');
    const { connectionId } = first.manager.context;
    expect(emitter().toTopic('tea').except({ connectionId }).send('a').sent).toBe(2);
    expect(emitter().toTopic('tea').except({ userId: 'ada' }).send('b').sent).toBe(1);
    expect(emitter().toAll().except({ userId: 'bob' }).send('c').sent).toBe(2);
    expect(emitter().toAll().sendCritical('d')).toMatchObject({ sent: 3 });
    const report = await emitter().toAll().sendAsync('e', 1);
    expect(report).toMatchObject({ sent: 3, nodes: { local: { sent: 3 } }, silent: [] });
    await eventually(() => expect(frames(bob.client, 'e')).toEqual([{ event: 'e', data: 1 }]));
    expect(bob.client.messages.map(({ event }) => event)).toEqual(['a', 'b', 'd', 'e']);
    await eventually(() =>
      expect(first.client.messages.map(({ event }) => event)).toEqual(['c', 'd', 'e']),
    );
    expect(() =>
      emitter()
        .toTopic('tea')
        .except({} as never),
    ).toThrow(TypeError);
  });

  it('are left on request and on close, and a closed manager joins none', async () => {
    await start();
    const { client, manager } = await connect('ada');
    await manager.join('tea');
    await manager.join('cake');
    expect([...manager.topics]).toEqual(['tea', 'cake']);
    expect(manager.leave('tea')).toBe(true);
    expect(manager.leave('tea')).toBe(false);
    expect(emitter().toTopic('tea').send('said')).toEqual({ sent: 0, queued: 0, dropped: 0 });
    await client.close();
    await eventually(() => expect(manager.state).toBe('closed'));
    expect(manager.topics.size).toBe(0);
    await expect(manager.join('tea')).rejects.toThrow(ManagerClosedError);
  });

  it('are bounded for each connection, and their names are checked', async () => {
    await start({ maxPerConnection: 2 });
    const { manager } = await connect('ada');
    await manager.join('a');
    await manager.join('b');
    await manager.join('b', { presence: 'again' });
    await expect(manager.join('c')).rejects.toMatchObject({ code: 'TOPIC_LIMIT', limit: 2 });
    await expect(manager.join('c')).rejects.toThrow(TopicLimitError);
    manager.leave('a');
    await manager.join('c');
    for (const name of ['', 'x'.repeat(257), 'a\nb', '\u007f', '\ud800', 7, undefined]) {
      await expect(manager.join(name as string)).rejects.toThrow(InvalidTopicError);
      expect(() => emitter().toTopic(name as string)).toThrow(InvalidTopicError);
    }
    manager.leave('b');
    await manager.join('x'.repeat(256));
  });
});

describe('topics, subscribed by clients', () => {
  it('are refused without an authorizer', async () => {
    await start();
    const { client } = await connect('ada');
    client.send('subscribe', { topic: 'tea' }, 1);
    expect(await client.next()).toEqual({
      event: 'exception',
      data: {
        status: 'error',
        code: 'TOPIC_FORBIDDEN',
        message: expect.any(String),
        id: 1,
      },
    });
    await expect(client.subscribe('tea')).rejects.toThrow('TOPIC_FORBIDDEN');
    await expect(client.subscribe('')).rejects.toThrow('INVALID_TOPIC');
    expect(emitter().toTopic('tea').send('said').sent).toBe(0);
  });

  it('are admitted by an authorizer that returns true or a grant, in the connection’s context', async () => {
    const asked: string[] = [];
    await start({
      maxPerConnection: 2,
      authorizer: (context: UserExecutionContext, topic: string) => {
        asked.push(`${context.userId} ${topic} ${Context.current() === context}`);
        return topic === 'vip' ? { presence: { role: 'host' } } : true;
      },
    });
    const { client } = await connect('ada');
    client.send('subscribe', { topic: 'tea' }, 'x');
    expect(await client.next()).toEqual({ event: 'subscribed', id: 'x', data: { topic: 'tea' } });
    expect(await client.subscribe('vip')).toEqual({ topic: 'vip' });
    await expect(client.subscribe('third')).rejects.toThrow('TOPIC_LIMIT');
    // Options are for the people who run the server.
    expect(JSON.stringify(client.messages)).not.toContain('maxPerConnection');
    expect(asked).toEqual(['ada tea true', 'ada vip true']);
    expect(await presence().members('vip')).toEqual([
      { userId: 'ada', connections: 1, presence: { role: 'host' } },
    ]);
    client.send('unsubscribe', { topic: 'tea' }, 2);
    expect(await client.next()).toEqual({ event: 'unsubscribed', id: 2, data: { topic: 'tea' } });
    expect((await client.ask('where')).data).toEqual(['vip']);
  });

  it.each([
    ['false', () => false],
    ['1', () => 1],
    ["'yes'", () => 'yes'],
    ['an array', () => [true]],
    ['nothing', () => undefined],
    ['a promise of a text', () => Promise.resolve('true')],
    ['a rejection', () => Promise.reject(new Error('the database is away'))],
    ['an exception of Nest', () => Promise.reject(new ForbiddenException())],
    ['an error that is returned', () => new ForbiddenException()],
    ['an object that is no grant', () => ({ allowed: false })],
    ['a Map', () => new Map()],
    ['an invalid date', () => ({ expiresAt: new Date(Number.NaN) })],
    [
      'a throw',
      () => {
        throw new Error('no');
      },
    ],
  ])('are refused by an authorizer that answers with %s', async (_, authorizer) => {
    await start({ authorizer: authorizer as never }, { logger: false });
    const { client } = await connect('ada');
    await expect(client.subscribe('tea')).rejects.toThrow('TOPIC_FORBIDDEN');
    expect((await client.ask('where')).data).toEqual([]);
  });

  it('are refused by an authorizer that does not answer in time, and its signal is aborted', async () => {
    const clock = new FakeClock();
    let signal: AbortSignal | undefined;
    await start(
      {
        authorizer: (_context: unknown, _topic: string, given: AbortSignal) => {
          signal = given;
          return new Promise<boolean>(() => undefined);
        },
      },
      { logger: false, options: { clock, handshake: { timeoutMs: 1_000 } } },
    );
    const { client } = await connect('ada');
    const refused = client.subscribe('tea').then(String, String);
    await eventually(() => expect(signal).toBeDefined());
    expect(signal!.aborted).toBe(false);
    await clock.advance(1_000);
    expect(await refused).toContain('TOPIC_FORBIDDEN');
    expect(signal!.aborted).toBe(true);
  });

  it('are not joined when the authorizer has closed the connection, or the client has unsubscribed', async () => {
    let admit: (() => void) | undefined;
    await start({
      authorizer: (context: UserExecutionContext, topic: string) => {
        if (topic === 'bye') {
          void testApp.app.get(WebSocketManagerFactory).cleanupManager(context.connectionId);
          return true;
        }
        return new Promise<boolean>((resolve) => (admit = () => resolve(true)));
      },
    });
    const { client } = await connect('ada');
    client.send('subscribe', { topic: 'tea' }, 1);
    await eventually(() => expect(admit).toBeDefined());
    client.send('unsubscribe', { topic: 'tea' }, 2);
    expect(await client.next('unsubscribed')).toMatchObject({ id: 2 });
    admit!();
    expect((await client.next('exception')).data).toMatchObject({ id: 1, code: 'TOPIC_FORBIDDEN' });
    expect((await client.ask('where')).data).toEqual([]);
    client.send('subscribe', { topic: 'bye' }, 3);
    await client.closed();
    await eventually(async () => expect(await presence().count('bye')).toBe(0));
    await expectNoLeaks(testApp.app);
  });

  it('are not joined when the server lets the connection leave before the authorizer answers', async () => {
    let admit: (() => void) | undefined;
    await start({
      authorizer: () => new Promise<boolean>((resolve) => (admit = () => resolve(true))),
    });
    const { client, manager } = await connect('ada');
    client.send('subscribe', { topic: 'tea' }, 1);
    await eventually(() => expect(admit).toBeDefined());
    expect(manager.leave('tea')).toBe(false);
    admit!();
    expect((await client.next('exception')).data).toMatchObject({ id: 1, code: 'TOPIC_FORBIDDEN' });
    expect(manager.topics.size).toBe(0);
  });

  it('that have no reply yet get one before the close frame, and no other', async () => {
    const answers: ((isAdmitted: boolean) => void)[] = [];
    await start({ authorizer: () => new Promise((resolve) => answers.push(resolve)) });
    const { client, manager } = await connect('ada');
    client.send('subscribe', { topic: 'tea' }, 1);
    client.send('subscribe', { topic: 'cake' }, 2);
    client.send('unsubscribe', { topic: 'cake' }, 3);
    await client.next('unsubscribed');
    expect(answers).toHaveLength(2);
    void manager.close();
    for (const admit of answers) admit(true);
    await client.closed();
    expect(client.messages.slice(1)).toMatchObject([
      { event: 'exception', data: { code: 'CLOSING', id: 1 } },
      { event: 'exception', data: { code: 'CLOSING', id: 2 } },
    ]);
  });

  it('end when the grant expires', async () => {
    const clock = new FakeClock();
    await start(
      { authorizer: () => ({ expiresAt: clock.epoch() + 5_000 }) },
      { options: { clock } },
    );
    const { client } = await connect('ada');
    await client.subscribe('tea');
    await clock.advance(5_000);
    expect(await client.next('unsubscribed')).toEqual({
      event: 'unsubscribed',
      data: { topic: 'tea', reason: 'expired' },
    });
    expect(emitter().toTopic('tea').send('said').sent).toBe(0);
  });

  describe('with a grant that expires', () => {
    let clock: SettableClock;
    const startExpiring = (): Promise<void> => {
      clock = new SettableClock();
      const authorizer = (): object => ({ expiresAt: clock.epoch() + 5_000 });
      const heartbeat = { intervalMs: 1_000, timeoutMs: 900_000 };
      return start({ authorizer }, { options: { clock, heartbeat } });
    };
    const expired = { event: 'unsubscribed', data: { topic: 'tea', reason: 'expired' } };

    it.each([
      ['the machine slept past its end', () => clock.jump(5_000)],
      ['the wall clock was set forward', () => void (clock.setByMs = 5_000)],
    ])('are left before the next message is handled if %s', async (_name, pass) => {
      await startExpiring();
      const { client } = await subscriber();
      pass();
      client.send('where');
      expect(await client.next()).toEqual(expired);
      expect((await client.next('where')).data).toEqual([]);
    });

    it('are left at the next heartbeat if the wall clock was set forward', async () => {
      await startExpiring();
      const { client } = await subscriber();
      clock.setByMs = 5_000;
      await clock.advance(1_100);
      expect(await client.next()).toEqual(expired);
    });

    it('are kept if the wall clock was set back, until their end by that clock', async () => {
      await startExpiring();
      const { client, manager } = await subscriber();
      clock.setByMs = -5_000;
      await clock.advance(5_000);
      expect([...manager.topics]).toEqual(['tea']);
      await clock.advance(5_000);
      expect(await client.next()).toEqual(expired);
    });
  });

  it('that are asked for again before the grant expires get the new grant, also when it comes later', async () => {
    const clock = new FakeClock();
    const grants: ((grant: object) => void)[] = [];
    await start(
      { authorizer: () => new Promise((resolve) => grants.push(resolve)) },
      { options: { clock } },
    );
    const { client, manager } = await connect('ada');
    const grant = async (nth: number): Promise<void> => {
      await eventually(() => expect(grants).toHaveLength(nth));
      grants[nth - 1]!({ expiresAt: clock.epoch() + 5_000 });
    };
    client.send('subscribe', { topic: 'tea' }, 1);
    await grant(1);
    expect(await client.next('subscribed')).toMatchObject({ id: 1 });
    client.send('subscribe', { topic: 'tea' }, 2);
    await eventually(() => expect(grants).toHaveLength(2));
    await clock.advance(5_000);
    expect((await client.next('unsubscribed')).data).toEqual({ topic: 'tea', reason: 'expired' });
    await grant(2);
    expect(await client.next()).toMatchObject({ event: 'subscribed', id: 2 });
    expect([...manager.topics]).toEqual(['tea']);
    await clock.advance(5_000);
    expect(await client.next()).toMatchObject({ data: { reason: 'expired' } });
    expect(manager.topics.size).toBe(0);
  });

  it('no longer end with the grant when code of the server has joined meanwhile', async () => {
    const clock = new FakeClock();
    await start(
      { authorizer: () => ({ expiresAt: clock.epoch() + 5_000 }) },
      { options: { clock } },
    );
    const { client, manager } = await connect('ada');
    await client.subscribe('tea');
    await manager.join('tea', { presence: { role: 'guest' } });
    await clock.advance(10_000);
    expect([...manager.topics]).toEqual(['tea']);
  });

  it('no longer end when a later grant does not expire', async () => {
    const clock = new FakeClock();
    const grants = [{ expiresAt: clock.epoch() + 5_000 }, true];
    await start({ authorizer: () => grants.shift()! }, { options: { clock } });
    const { client, manager } = await connect('ada');
    await client.subscribe('tea');
    await client.subscribe('tea');
    await clock.advance(10_000);
    expect([...manager.topics]).toEqual(['tea']);
  });

  it('warn at boot of a handler for `subscribe` that an authorizer takes the messages from', async () => {
    @IsolatedGateway({ path: '/own' })
    class OwnGateway {
      @SubscribeMessage('subscribe')
      subscribe(): unknown {
        return { event: 'mine' };
      }
    }
    const warnings: string[] = [];
    const logger = { log: ignore, error: ignore, warn: (text: string) => void warnings.push(text) };
    await start({ authorizer: () => true }, { providers: [OwnGateway], logger });
    expect(warnings.filter((text) => text.includes('OwnGateway'))).toEqual([
      expect.stringContaining("OwnGateway has @SubscribeMessage('subscribe'), but no message"),
    ]);
    const client = await testApp.connect('/own?user=ada');
    clients.push(client);
    await client.subscribe('tea');
  });

  it('leave an event called subscribe to a gateway of the app that handles it', async () => {
    @IsolatedGateway({ path: '/own' })
    class OwnGateway {
      @SubscribeMessage('subscribe')
      subscribe(): unknown {
        return { event: 'mine' };
      }
    }
    await start({}, { providers: [OwnGateway] });
    const client = await testApp.connect('/own?user=ada');
    clients.push(client);
    expect(await client.ask('subscribe', { topic: 'tea' })).toEqual({ event: 'mine' });
  });

  it('hold no connection that has closed', async () => {
    await start({ authorizer: () => true, presence: true, history: {} });
    const crowd = await Promise.all(
      Array.from({ length: 30 }, (_, index) => testApp.connect(`/chat?user=u${index}`)),
    );
    await Promise.all(crowd.map((client) => client.subscribe('tea')));
    await Promise.all(crowd.slice(0, 10).map((client) => client.subscribe('cake')));
    emitter().toTopic('tea').send('said');
    const said = await Promise.all(crowd.map((client) => client.next('said')));
    expect(said).toHaveLength(crowd.length);
    await Promise.all(crowd.map((client) => client.close()));
    await expectNoLeaks(testApp.app);
  });

  it('may be authorized by a provider', async () => {
    @Injectable()
    class Rooms {
      readonly open = new Set(['tea']);
    }
    @Injectable()
    class RoomAuthorizer {
      constructor(@Inject(Rooms) private readonly rooms: Rooms) {}
      async authorize(_context: UserExecutionContext, topic: string): Promise<boolean> {
        return this.rooms.open.has(topic);
      }
    }
    await start({ authorizer: RoomAuthorizer }, { providers: [Rooms, RoomAuthorizer] });
    const { client } = await connect('ada');
    await client.subscribe('tea');
    await expect(client.subscribe('wine')).rejects.toThrow('TOPIC_FORBIDDEN');
  });
});

describe('presence', () => {
  it('is by user: a user leaves with the last connection', async () => {
    await start();
    const [first, second, bob] = [await connect('ada'), await connect('ada'), await connect('bob')];
    await first.manager.join('tea', { presence: { mood: 'good' } });
    await second.manager.join('tea');
    await bob.manager.join('tea');
    expect(await presence().count('tea')).toBe(2);
    expect(await presence().members('tea')).toEqual([
      { userId: 'ada', connections: 2, presence: { mood: 'good' } },
      { userId: 'bob', connections: 1 },
    ]);
    first.manager.leave('tea');
    expect(await presence().members('tea')).toContainEqual({ userId: 'ada', connections: 1 });
    await second.client.close();
    await eventually(async () => expect(await presence().count('tea')).toBe(1));
    expect(await presence().isOnline('ada')).toBe(true);
    expect(await presence().isOnline('eve')).toBe(false);
    const online: string[] = [];
    for await (const userId of presence().online()) online.push(userId);
    expect(online.toSorted()).toEqual(['ada', 'bob']);
  });

  it('tells members who has joined and left, one event per interval', async () => {
    const clock = new FakeClock();
    await start({ presence: true, presenceIntervalMs: 1_000 }, { options: { clock } });
    const [ada, bob, eve] = [await connect('ada'), await connect('bob'), await connect('eve')];
    await ada.manager.join('tea');
    await bob.manager.join('tea');
    await eve.manager.join('tea');
    eve.manager.leave('tea');
    await clock.advance(1_000);
    expect(await ada.client.next()).toEqual({
      event: 'presence',
      topic: 'tea',
      data: { joined: ['ada', 'bob'], left: [], count: 2 },
    });
    bob.manager.leave('tea');
    await clock.advance(1_000);
    expect((await ada.client.next()).data).toEqual({ joined: [], left: ['bob'], count: 1 });
    bob.manager.leave('tea');
    await bob.manager.join('tea');
    bob.manager.leave('tea');
    await clock.advance(1_000);
    expect((await ada.client.ask('where')).event).toBe('where');
  });

  it('names no users above a bound, and leaves no timer behind', async () => {
    const clock = new FakeClock();
    await start({ presence: true, presenceMaxMembers: 1 }, { options: { clock } });
    const timers = clock.pendingTimers;
    const [ada, bob] = [await connect('ada'), await connect('bob')];
    await ada.manager.join('tea');
    await bob.manager.join('tea');
    await clock.advance(1_000);
    expect((await ada.client.next()).data).toEqual({ joined: [], left: [], count: 2 });
    for (const { client } of [ada, bob]) await client.close();
    await eventually(async () => expect(await presence().count('tea')).toBe(0));
    // The timer of handshakes is the last to end.
    await clock.advance(600_000);
    expect(clock.pendingTimers).toBeLessThanOrEqual(timers);
  });
});

describe('topics with a history', () => {
  it('number their events, and send what a client has missed', async () => {
    await start({ authorizer: () => true, history: {} });
    const { client } = await connect('ada');
    const { position } = await client.subscribe('tea');
    emitter().toTopic('tea').send('said', 1);
    const first = await client.next('said');
    expect(first).toMatchObject({ data: 1, topic: 'tea', position: expect.any(String) });
    expect(position).toBeDefined();
    await client.close();
    emitter().toTopic('tea').send('said', 2);
    emitter().toTopic('tea').except({ userId: 'ada' }).send('said', 'not for ada');
    emitter().toTopic('tea').sendCritical('said', 3);
    const back = await connect('ada');
    await back.client.subscribe('tea', first.position);
    await eventually(() => expect(frames(back.client, 'said')).toHaveLength(2));
    emitter().toTopic('tea').send('said', 4);
    await eventually(() => expect(frames(back.client, 'said')).toHaveLength(3));
    expect(frames(back.client, 'resume')).toEqual([
      expect.objectContaining({ topic: 'tea', data: { status: 'recovered', missed: 3 } }),
    ]);
    expect(back.client.messages.map(({ data }) => data as unknown).slice(2)).toEqual([2, 3, 4]);
  });

  it('report a gap for what is not kept, and for a position that is none', async () => {
    await start({ authorizer: () => true, history: { maxEvents: 2 } });
    const { client, manager } = await connect('ada');
    const { position } = await client.subscribe('tea');
    for (const data of [1, 2, 3]) emitter().toTopic('tea').send('said', data);
    await eventually(() => expect(frames(client, 'said')).toHaveLength(3));
    for (const from of [position, 'nonsense', 7]) {
      const back = await connect('bob');
      await back.client.subscribe('tea', from as string);
      await eventually(() => expect(frames(back.client, 'said')).toHaveLength(2));
      expect(frames(back.client, 'resume')).toMatchObject([{ data: { status: 'gap' } }]);
      await back.client.close();
    }
    expect(manager.topics.has('tea')).toBe(true);
  });

  it('leave nothing behind when the last member has left and the window has passed', async () => {
    const clock = new FakeClock();
    await start({ history: { windowMs: 1_000 } }, { options: { clock } });
    const { client, manager } = await connect('ada');
    for (let index = 0; index < 50; index += 1) await manager.join(`t${index}`);
    for (let index = 0; index < 50; index += 1) emitter().toTopic(`t${index}`).send('said', index);
    await eventually(() => expect(frames(client, 'said')).toHaveLength(50));
    await client.close();
    await eventually(() => expect(manager.state).toBe('closed'));
    await clock.advance(2_000);
    const { size, memberships, histories } = testApp.app.get(Topics);
    expect({ size, memberships }).toEqual({ size: 0, memberships: 0 });
    const { size: kept, bytes } = histories!.history as MemoryHistory<TopicKey>;
    expect({ kept, bytes }).toEqual({ kept: 0, bytes: 0 });
  });
});
