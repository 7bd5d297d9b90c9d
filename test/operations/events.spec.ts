import { channel } from 'node:diagnostics_channel';

import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  CloseCode,
  CurrentManager,
  ISOLATION_EVENT_NAMES,
  IsolatedGateway,
  IsolationEventBus,
  type IsolationEventName,
  type IsolationEvents,
  type Release,
  type WebSocketManager,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { Topic } from '../../src/journal/event-bus.js';
import { startApp, type TestApp } from '../support/test-app.js';

const removed: IsolationEvents['manager-removed'] = {
  subject: { userId: 'ada', threadId: 'tea', connectionId: 'conn_1', isolationKey: 'ada:tea' },
  cause: 'idle',
  code: 4440,
};

@IsolatedGateway({ path: '/events' })
class EventsGateway {
  @SubscribeMessage('echo')
  echo(): unknown {
    return { event: 'echoed' };
  }

  @SubscribeMessage('fail')
  async fail(): Promise<never> {
    await Promise.resolve();
    throw new Error('planned');
  }

  @SubscribeMessage('slow')
  slow(@CurrentManager() manager: WebSocketManager): void {
    void manager.close(CloseCode.SLOW_CONSUMER, 'slow consumer');
  }
}

describe('the event bus', () => {
  const bus = new IsolationEventBus();

  it('calls each listener until it is released', () => {
    const heard: unknown[] = [];
    const listener = (details: IsolationEvents['manager-removed']): void =>
      void heard.push(details.cause);
    const first = bus.on('manager-removed', listener);
    const second = bus.on('manager-removed', listener);
    const topic = bus.topic('manager-removed');
    topic.publish(removed);
    first();
    first();
    topic.publish(removed);
    second();
    topic.publish(removed);
    expect(heard).toEqual(['idle', 'idle', 'idle']);
    expect(topic.isHeard).toBe(false);
  });

  it('isolates the errors and rejections of a listener from other listeners', async () => {
    const logged: string[] = [];
    const error = jest
      .spyOn(Logger.prototype, 'error')
      .mockImplementation((message: unknown) => void logged.push(String(message)));
    const heard: string[] = [];
    const releases = [
      bus.on('manager-removed', () => {
        throw new Error('planned');
      }),
      bus.on('manager-removed', async () => {
        await Promise.resolve();
        throw new Error('planned');
      }),
      bus.on('manager-removed', ({ subject }) => void heard.push(subject.userId)),
    ];
    bus.topic('manager-removed').publish(removed);
    expect(heard).toEqual(['ada']);
    await eventually(() => expect(logged).toHaveLength(2));
    expect(logged[0]).toContain('"manager-removed"');
    releases.forEach((release) => release());
    error.mockRestore();
  });

  it('lets a listener release other listeners during a call', () => {
    const heard: string[] = [];
    const releases: Release[] = [
      bus.on('manager-removed', () => releases.forEach((release) => release())),
      bus.on('manager-removed', () => void heard.push('second')),
    ];
    bus.topic('manager-removed').publish(removed);
    bus.topic('manager-removed').publish(removed);
    // It was still subscribed at the first event, but not at the second.
    expect(heard).toEqual(['second']);
  });

  it('passes every event to onAny(), with its name', () => {
    const heard: string[] = [];
    const release = bus.onAny((name) => void heard.push(name));
    for (const name of ISOLATION_EVENT_NAMES) bus.topic(name).publish({} as never);
    expect(heard).toEqual(ISOLATION_EVENT_NAMES);
    release();
    expect(ISOLATION_EVENT_NAMES.filter((name) => bus.topic(name).isHeard)).toEqual([]);
  });
});

describe('the events of an application', () => {
  let testApp: TestApp;
  let bus: IsolationEventBus;

  beforeAll(async () => {
    testApp = await startApp({
      providers: [EventsGateway],
      options: { heartbeat: { intervalMs: 64 } },
    });
    bus = testApp.app.get(IsolationEventBus);
  });
  afterAll(() => testApp.close());

  it('cover the whole life of a connection, in order', async () => {
    const heard: { name: IsolationEventName; details: Record<string, unknown> }[] = [];
    const release = bus.onAny((name, details) => {
      heard.push({ name, details: { ...details } });
    });
    const client = await TestClient.open(testApp.url('/events?user=ada&thread=tea'));
    await client.ask('echo');
    await client.ask('fail');
    client.send('nobody');
    await eventually(() =>
      expect(heard.map(({ name }) => name)).toEqual(expect.arrayContaining(['ping-answered'])),
    );
    await client.close(1000);
    await eventually(() => expect(heard.at(-1)?.name).toBe('manager-disposed'));
    release();

    const story = heard.filter(({ name }) => name !== 'ping-answered');
    expect(story.map(({ name }) => name)).toEqual([
      'manager-created',
      'connection-opened',
      'connection-ready',
      'message-handled',
      'handler-failed',
      'message-handled',
      'message-dropped',
      'manager-closing',
      'connection-closed',
      'manager-disposed',
    ]);
    const handled = story.filter(({ name }) => name === 'message-handled');
    expect(handled.map(({ details }) => details)).toMatchObject([
      { path: '/events', event: 'echo', outcome: 'ok', subject: { userId: 'ada' } },
      { path: '/events', event: 'fail', outcome: 'failed', subject: { isolationKey: 'ada:tea' } },
    ]);
    expect(story.at(-3)?.details).toMatchObject({ reason: { code: 1000, initiator: 'client' } });
    const durations = heard.flatMap(({ details }) =>
      Object.entries(details).filter(([key]) => key.endsWith('Ms')),
    );
    expect(durations.map(([key]) => key)).toEqual(
      expect.arrayContaining([
        'handshakeMs',
        'connectMs',
        'durationMs',
        'roundTripMs',
        'disposalMs',
      ]),
    );
    expect(durations.filter(([, value]) => !((value as number) >= 0))).toEqual([]);
  });

  it('name slow consumers and refused clients', async () => {
    const heard: unknown[] = [];
    const releases = [
      bus.on('slow-consumer', ({ subject }) => void heard.push(subject.userId)),
      bus.on('connection-refused', ({ reason, status }) => void heard.push([reason, status])),
    ];
    const client = await TestClient.open(testApp.url('/events?user=slow'));
    client.send('slow');
    expect(await client.closed()).toBe(4441);
    await expect(TestClient.open(testApp.url('/events'))).rejects.toMatchObject({ status: 401 });
    expect(heard).toEqual(['slow', ['unauthorized', 401]]);
    releases.forEach((release) => release());
  });

  it('are published on diagnostics channels too', async () => {
    const heard: unknown[] = [];
    const listener = (details: unknown): void => void heard.push(details);
    const opened = channel('websocket-isolation:connection-opened');
    opened.subscribe(listener);
    const client = await TestClient.open(testApp.url('/events?user=channel'));
    opened.unsubscribe(listener);
    await client.close();
    expect(heard).toMatchObject([{ path: '/events', subject: { userId: 'channel' } }]);
  });

  async function life(): Promise<void> {
    const client = await TestClient.open(testApp.url('/events?user=quiet'));
    await client.ask('echo');
    client.send('nobody');
    await client.ask('echo');
    await client.close();
    await expect(TestClient.open(testApp.url('/events'))).rejects.toThrow('401');
  }

  it('are not created without listeners', async () => {
    const publish = jest.spyOn(Topic.prototype, 'publish');
    await life();
    expect(publish).not.toHaveBeenCalled();
    const release = bus.onAny(() => undefined);
    await life();
    release();
    expect(publish.mock.calls.length).toBeGreaterThan(6);
    publish.mockRestore();
  });
});
