import { afterEach, describe, expect, it } from '@jest/globals';
import {
  IsolatedGateway,
  IsolationEventBus,
  type IsolationEventName,
  type IsolationEvents,
  type TopicsOptions,
  WebSocketEmitter,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import {
  WebSocketIsolationMetrics,
  WebSocketIsolationMetricsModule,
} from 'nestjs-websocket-isolation/metrics';
import { eventually, FakeClock, type TestClient } from 'nestjs-websocket-isolation/testing';

import { Registry } from 'prom-client';

import { subjectOf } from '../../src/journal/journal.js';
import { Topics } from '../../src/topics/topics.service.js';
import { parsePrometheusText, valueOf } from '../support/prometheus-text.js';
import { startApp, type TestApp, type TestAppSetup } from '../support/test-app.js';

@IsolatedGateway({ path: '/chat' })
class ChatGateway {}

const COUNTS = [
  'topics_active',
  'topic_memberships',
  'topic_subscriptions_pending',
  'topic_histories',
] as const;

let testApp: TestApp;
afterEach(() => testApp.close());

type Given = Partial<Omit<TopicsOptions, 'history'>> & { readonly history?: object };

async function start(topics: Given, more: TestAppSetup = {}): Promise<void> {
  testApp = await startApp({
    ...more,
    providers: [ChatGateway],
    options: { topics, ...more.options },
  });
}

async function connect(user: string): Promise<{ client: TestClient; manager: WebSocketManager }> {
  const client = await testApp.connect(`/chat?user=${user}`);
  const [manager] = testApp.app.get(WebSocketManagerFactory).managersOf(user);
  return { client, manager: manager! };
}

function heard<Name extends IsolationEventName>(name: Name): IsolationEvents[Name][] {
  const details: IsolationEvents[Name][] = [];
  testApp.app.get(IsolationEventBus).on(name, (each) => void details.push(each));
  return details;
}

describe('the events of topics', () => {
  it('name the connection and the topic that it has joined, once', async () => {
    await start({ authorizer: () => true });
    const joined = heard('topic-joined');
    const { client, manager } = await connect('ada');
    await manager.join('tea');
    await manager.join('tea', { presence: 'again' });
    await client.subscribe('tea');
    await client.subscribe('cake');
    const subject = subjectOf(manager.context);
    expect(joined).toEqual([
      { subject, topic: 'tea' },
      { subject, topic: 'cake' },
    ]);
  });

  it('say why a connection is no longer in a topic', async () => {
    const clock = new FakeClock();
    const authorizer: TopicsOptions['authorizer'] = (_context, topic) =>
      topic === 'short' ? { expiresAt: clock.epoch() + 1_000 } : true;
    await start({ authorizer }, { options: { clock } });
    const left = heard('topic-left');
    const { client, manager } = await connect('ada');
    for (const topic of ['mine', 'theirs', 'short', 'kicked', 'last']) {
      await client.subscribe(topic);
    }
    manager.leave('mine');
    manager.leave('mine');
    client.send('unsubscribe', { topic: 'theirs' }, 1);
    expect(await client.next('unsubscribed')).toMatchObject({ data: { topic: 'theirs' } });
    await clock.advance(1_000);
    expect(testApp.app.get(Topics).remove(manager, 'kicked', 'removed')).toBe(true);
    expect(testApp.app.get(Topics).remove(manager, 'kicked', 'removed')).toBe(false);
    await eventually(() =>
      expect(client.messages.filter(({ event }) => event === 'unsubscribed')).toEqual([
        { event: 'unsubscribed', id: 1, data: { topic: 'theirs' } },
        { event: 'unsubscribed', data: { topic: 'short', reason: 'expired' } },
        { event: 'unsubscribed', data: { topic: 'kicked', reason: 'removed' } },
      ]),
    );
    client.terminate();
    await eventually(() => expect(left).toHaveLength(5));
    expect(left.map(({ topic, cause }) => `${topic}: ${cause}`)).toEqual([
      'mine: left',
      'theirs: unsubscribed',
      'short: expired',
      'kicked: removed',
      'last: closed',
    ]);
    expect(left[0]!.subject).toEqual(subjectOf(manager.context));
  });

  it('name refused subscriptions with their code, and leave out what is no name', async () => {
    await start(
      {
        maxPerConnection: 1,
        authorizer: (_context, topic) => topic === 'tea',
      },
      { logger: false },
    );
    const refused = heard('topic-refused');
    const { client, manager } = await connect('ada');
    await expect(client.subscribe('vip')).rejects.toThrow('TOPIC_FORBIDDEN');
    await client.subscribe('tea');
    await expect(client.subscribe('cake')).rejects.toThrow('TOPIC_LIMIT');
    await expect(client.subscribe('\n'.repeat(5_000))).rejects.toThrow('INVALID_TOPIC');
    const subject = subjectOf(manager.context);
    expect(refused).toEqual([
      { subject, topic: 'vip', code: 'TOPIC_FORBIDDEN' },
      { subject, topic: 'cake', code: 'TOPIC_LIMIT' },
      { subject, code: 'INVALID_TOPIC' },
    ]);
    // The reply to an invalid name in another request is no refused subscription.
    client.send('unsubscribe', { topic: '' }, 1);
    expect(await client.next('exception')).toBeDefined();
    expect(refused).toHaveLength(3);
  });

  it('may change the memberships while they are heard', async () => {
    await start({ presence: true });
    const { client, manager } = await connect('ada');
    const other = await connect('bob');
    const bus = testApp.app.get(IsolationEventBus);
    bus.on('topic-joined', ({ topic }) => void (topic === 'shut' && manager.leave('shut')));
    bus.on('topic-left', ({ topic }) => void (topic === 'first' && manager.leave('second')));
    await manager.join('shut', { presence: 'here' });
    expect([...manager.topics]).toEqual([]);
    for (const topic of ['first', 'second', 'third']) {
      await manager.join(topic);
      await other.manager.join(topic);
    }
    client.terminate();
    const topics = testApp.app.get(Topics);
    await eventually(() => expect(topics.memberships).toBe(3));
    expect(['first', 'second', 'third'].map((topic) => topics.userCount(topic))).toEqual([1, 1, 1]);
  });
});

const measured = {
  imports: [WebSocketIsolationMetricsModule.forRoot({ registry: new Registry() })],
};

async function scrape(): Promise<(name: string, labels?: object) => number> {
  const text = await testApp.app.get(WebSocketIsolationMetrics).registry.metrics();
  const families = parsePrometheusText(text);
  return (name, labels = {}) => valueOf(families, `ws_isolation_${name}`, { ...labels });
}

async function counts(): Promise<number[]> {
  const value = await scrape();
  return COUNTS.map((name) => value(name));
}

async function refusals(): Promise<number[]> {
  const value = await scrape();
  return ['TOPIC_FORBIDDEN', 'TOPIC_LIMIT', 'INVALID_TOPIC', 'INTERNAL_ERROR'].map((code) =>
    value('topic_subscriptions_refused_total', { code }),
  );
}

describe('the metrics of topics', () => {
  it('count topics, memberships, subscriptions under way and kept histories', async () => {
    const clock = new FakeClock();
    let admit: (() => void) | undefined;
    const authorizer = (_context: unknown, topic: string): boolean | Promise<boolean> =>
      topic === 'late' ? new Promise<boolean>((resolve) => (admit = () => resolve(true))) : true;
    await start(
      { authorizer, history: { windowMs: 60_000 } },
      { ...measured, options: { clock, handshake: { timeoutMs: 600_000 } } },
    );
    const { client, manager } = await connect('ada');
    const other = await connect('bob');
    expect(await counts()).toEqual([0, 0, 0, 0]);
    await client.subscribe('tea');
    await manager.join('cake');
    await other.manager.join('tea');
    const late = client.subscribe('late');
    await eventually(async () => expect(await counts()).toEqual([2, 3, 1, 2]));
    expect((await scrape())('topic_history_bytes')).toBe(0);
    testApp.app.get(WebSocketEmitter).toTopic('tea').send('said', 'hello');
    expect((await scrape())('topic_history_bytes')).toBeGreaterThan(100);
    admit!();
    await late;
    expect(await counts()).toEqual([3, 4, 0, 3]);
    client.terminate();
    other.client.terminate();
    await eventually(async () => expect(await counts()).toEqual([0, 0, 0, 3]));
    await clock.advance(120_000);
    expect(await counts()).toEqual([0, 0, 0, 0]);
    expect((await scrape())('topic_history_bytes')).toBe(0);
  });

  it('count refused subscriptions by code, from the start on', async () => {
    await start({ authorizer: () => false }, measured);
    expect(await refusals()).toEqual([0, 0, 0, 0]);
    const { client } = await connect('ada');
    await expect(client.subscribe('tea')).rejects.toThrow('TOPIC_FORBIDDEN');
    await expect(client.subscribe('cake')).rejects.toThrow('TOPIC_FORBIDDEN');
    await expect(client.subscribe('')).rejects.toThrow('INVALID_TOPIC');
    expect(await refusals()).toEqual([2, 0, 1, 0]);
  });
});
