import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  CurrentManager,
  IsolatedGateway,
  IsolationEventBus,
  type TopicGrant,
  UserExecutionContext,
  WebSocketEmitter,
  type WebSocketIsolationOptions,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, FakeClock, TestClient } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

const ROOMS = { rooms: ['tea', 'cake'] };

/** Credentials are the metadata themselves. */
@Injectable()
class Tokens implements ConnectionAuthenticator {
  authenticate(): ConnectionIdentity {
    return { userId: 'ada', metadata: ROOMS };
  }

  renew(_: UserExecutionContext, credentials: unknown): ConnectionIdentity {
    return { userId: 'ada', metadata: credentials as Record<string, unknown> };
  }
}

@IsolatedGateway({ path: '/rooms' })
class RoomsGateway {
  @SubscribeMessage('enter')
  async enter(@CurrentManager() manager: WebSocketManager): Promise<object> {
    await manager.join('hall');
    return { event: 'entered' };
  }
}

const asked: string[] = [];
type Decision = boolean | TopicGrant;
let decide: (context: UserExecutionContext, topic: string) => Decision | Promise<Decision>;

const byMetadata = ({ metadata }: UserExecutionContext, topic: string): boolean =>
  (metadata['rooms'] as string[]).includes(topic);

let testApp: TestApp;
let clock: FakeClock;
let client: TestClient;
const left: unknown[] = [];

async function start(topics: WebSocketIsolationOptions['topics'] = {}): Promise<void> {
  clock = new FakeClock();
  decide = byMetadata;
  const authorizer = (
    context: UserExecutionContext,
    topic: string,
  ): Decision | Promise<Decision> => {
    asked.push(topic);
    return decide(context, topic);
  };
  testApp = await startApp({
    providers: [Tokens, RoomsGateway],
    options: { authenticator: Tokens, clock, topics: { authorizer, ...topics } },
  });
  testApp.app
    .get(IsolationEventBus)
    .on('topic-left', ({ topic, cause }) => void left.push([topic, cause]));
  client = await TestClient.open(testApp.url('/rooms'));
  await client.ask('enter');
  await client.subscribe('tea');
  await client.subscribe('cake');
  asked.length = 0;
}

const topics = (): string[] => [
  ...testApp.app.get(WebSocketManagerFactory).managersOf('ada')[0]!.topics,
];

afterEach(async () => {
  client.terminate();
  await testApp.close();
  left.length = 0;
});

describe.each([
  ['without a history', {}],
  ['with a history', { history: { windowMs: 60_000 } }],
])('topics %s, of a client that renews its identity', (_title, options) => {
  it('are asked for again where the metadata differs, and those that are refused now are left', async () => {
    await start(options);
    await client.renew({ rooms: ['cake'] });
    expect(await client.next('unsubscribed')).toEqual({
      event: 'unsubscribed',
      data: { topic: 'tea', reason: 'forbidden' },
    });
    expect(topics()).toEqual(['hall', 'cake']);
    expect(asked.toSorted()).toEqual(['cake', 'tea']);
    expect(left).toEqual([['tea', 'forbidden']]);
    testApp.app.get(WebSocketEmitter).toTopic('cake').send('news', 1);
    expect((await client.next('news')).data).toBe(1);
  });

  it('are not asked for where the metadata is equal', async () => {
    await start(options);
    await client.renew({ rooms: ['tea', 'cake'] });
    await client.ask('enter');
    expect(asked).toEqual([]);
  });

  it('are left where the authorizer throws, or does not answer in time', async () => {
    await start(options);
    decide = (_context, topic) => {
      if (topic === 'tea') throw new Error('no database');
      return new Promise(() => undefined);
    };
    await client.renew({ rooms: [] });
    expect((await client.next('unsubscribed')).data.topic).toBe('tea');
    expect(topics()).toEqual(['hall', 'cake']);
    await clock.advance(10_000);
    expect((await client.next('unsubscribed')).data.topic).toBe('cake');
  });

  it('end when the new grant says so', async () => {
    await start(options);
    decide = () => ({ expiresAt: clock.epoch() + 1_000 });
    await client.renew({ rooms: ['other'] });
    await clock.advance(1_000);
    await client.next('unsubscribed');
    expect((await client.next('unsubscribed')).data.reason).toBe('expired');
    expect(topics()).toEqual(['hall']);
  });

  it('belong to the last of several renewals, whatever order the authorizer answers in', async () => {
    await start(options);
    client.send('unsubscribe', { topic: 'cake' });
    await client.next('unsubscribed');
    const answers: ((isAllowed: boolean) => void)[] = [];
    decide = () => new Promise((resolve) => answers.push(resolve));
    await client.renew({ rooms: [] });
    await client.renew({ rooms: ['tea'] });
    await eventually(() => expect(answers).toHaveLength(2));
    answers[1]!(true);
    answers[0]!(false);
    await client.ask('enter');
    expect(topics()).toEqual(['hall', 'tea']);
  });

  it('stay as a newer request of the client was answered, whatever the review says afterwards', async () => {
    await start(options);
    client.send('unsubscribe', { topic: 'cake' });
    await client.next('unsubscribed');
    const answers: ((isAllowed: boolean) => void)[] = [];
    decide = () => new Promise((resolve) => answers.push(resolve));
    await client.renew({ rooms: [] });
    client.send('subscribe', { topic: 'tea' }, 'again');
    await eventually(() => expect(answers).toHaveLength(2));
    answers[1]!(true);
    await client.next('subscribed');
    answers[0]!(false);
    await client.ask('enter');
    expect(topics()).toEqual(['hall', 'tea']);
  });

  it('that it left meanwhile stay left, and a subscription under way is asked for again', async () => {
    await start(options);
    const answers: ((isAllowed: boolean) => void)[] = [];
    decide = () => new Promise((resolve) => answers.push(resolve));
    client.send('subscribe', { topic: 'bar' }, 'bar');
    await client.renew({ rooms: [] });
    await eventually(() => expect(answers).toHaveLength(3));
    for (const topic of ['tea', 'cake']) client.send('unsubscribe', { topic }, topic);
    await client.next('unsubscribed');
    await client.next('unsubscribed');
    for (const answer of answers.splice(0)) answer(true);
    // The grant for the old metadata counts for nothing.
    await eventually(() => expect(answers).toHaveLength(1));
    expect(topics()).toEqual(['hall']);
    answers[0]!(false);
    expect((await client.next('exception')).data).toMatchObject({ code: 'TOPIC_FORBIDDEN' });
    expect(topics()).toEqual(['hall']);
  });
});
