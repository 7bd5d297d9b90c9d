import { subscribe, unsubscribe } from 'node:diagnostics_channel';

import { UseGuards, type CanActivate } from '@nestjs/common';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  IsolatedGateway,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient, UpgradeRefused } from 'nestjs-websocket-isolation/testing';

import type { MemoryHistory } from '../../src/history/memory-history.js';
import { Resume } from '../../src/resume/resume.service.js';
import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  constructor(
    private readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
    private readonly emitter: WebSocketEmitter,
  ) {}

  handleConnection(): void {
    if (this.context.runId === 'early') this.say('from the hook');
  }

  @SubscribeMessage('say')
  say(@MessageBody() text: unknown): void {
    this.emitter.toThread(this.context.userId, this.context.threadId).send('said', text);
  }

  @SubscribeMessage('critical')
  critical(@MessageBody() text: unknown): void {
    this.manager.emitCritical('important', text);
  }
}

let mayEnter: Promise<boolean> | boolean = true;

class Doorkeeper implements CanActivate {
  canActivate(): Promise<boolean> | boolean {
    return mayEnter;
  }
}

@UseGuards(Doorkeeper)
@IsolatedGateway({ path: '/guarded' })
class GuardedGateway {}

interface Positioned {
  event: string;
  data: unknown;
  position?: string;
}

/** The latest position that a client has seen. */
function positionOf({ messages }: TestClient): string {
  const positions = messages.flatMap(
    (message) => (message as unknown as Positioned).position ?? [],
  );
  return positions.at(-1)!;
}

function said({ messages }: TestClient): unknown[] {
  return messages.filter(({ event }) => event === 'said').map(({ data }) => data);
}

describe('resume', () => {
  let app: TestApp;
  let emitter: WebSocketEmitter;

  beforeEach(async () => {
    mayEnter = true;
    app = await startApp({
      providers: [ChatGateway, GuardedGateway, Doorkeeper],
      options: { resume: { maxEvents: 100, maxBytes: 200_000 } },
    });
    emitter = app.app.get(WebSocketEmitter);
  });

  afterEach(() => app.close());

  const open = (
    position?: string,
    { user = 'ada', thread = 'tea', path = '/chat', run = 'run' } = {},
  ): Promise<TestClient> => {
    const resume = position === undefined ? '' : `&resume=${position}`;
    return TestClient.open(app.url(`${path}?user=${user}&thread=${thread}&run=${run}${resume}`));
  };
  const say = (...texts: unknown[]): void => {
    for (const text of texts) emitter.toThread('ada', 'tea').send('said', text);
  };

  it('sends a new client its position, and numbers the events', async () => {
    const client = await open();
    expect(await client.next()).toMatchObject({ event: 'resume', data: { status: 'live' } });
    say('one');
    const message = (await client.next()) as unknown as Positioned;
    expect(message).toEqual({ event: 'said', data: 'one', position: expect.any(String) });
    expect(message.position).toMatch(/\.1$/);
  });

  it('replays missed events to a client that reconnects, once and in order', async () => {
    const first = await open();
    await first.next();
    say(1, 2);
    await eventually(() => expect(said(first)).toEqual([1, 2]));
    first.terminate();
    await first.closed();
    say(3, 4, 5);
    const second = await open(positionOf(first));
    say(6);
    await eventually(() => expect(said(second)).toEqual([3, 4, 5, 6]));
    expect(second.messages[0]).toMatchObject({ event: 'resume', data: { status: 'recovered' } });
    say(7);
    await eventually(() => expect(said(second)).toEqual([3, 4, 5, 6, 7]));
  });

  it('sends no event of the thread before the guards have admitted the client', async () => {
    const first = await open();
    await first.next();
    say('secret');
    await eventually(() => expect(said(first)).toEqual(['secret']));
    const [, start] = [first.messages[1], positionOf(first).replace(/\d+$/, '0')];
    let answer!: (mayEnter: boolean) => void;
    mayEnter = new Promise((resolve) => (answer = resolve));
    const refused = await open(start, { path: '/guarded' });
    say('more');
    await eventually(() => expect(said(first)).toEqual(['secret', 'more']));
    answer(false);
    expect(await refused.closed()).toBe(4403);
    expect(refused.messages.filter(({ event }) => event !== 'exception')).toEqual([]);

    mayEnter = true;
    const admitted = await open(start, { path: '/guarded' });
    await eventually(() => expect(said(admitted)).toEqual(['secret', 'more']));
  });

  it('delivers events that were sent before the connection was ready', async () => {
    const client = await open(undefined, { run: 'early' });
    await eventually(() => expect(said(client)).toEqual(['from the hook']));
  });

  it('reports a gap that cannot be filled, and continues with the kept events', async () => {
    const first = await open();
    await first.next();
    const start = positionOf(first);
    await first.close();
    say(...Array.from({ length: 150 }, (_, index) => index));
    const second = await open(start);
    await eventually(() => expect(said(second)).toHaveLength(100));
    expect(second.messages[0]).toMatchObject({ event: 'resume', data: { status: 'gap' } });
    expect(said(second)[0]).toBe(50);
    // The position in the gap notice is valid.
    const { position } = second.messages[0] as unknown as Positioned;
    const third = await open(position);
    await eventually(() => expect(said(third)).toHaveLength(100));
    expect(third.messages[0]).toMatchObject({ data: { status: 'recovered', missed: 100 } });
  });

  it.each(['nonsense', 'a.b.c', '', `${'x'.repeat(200)}.1`, 'unknown-epoch.-1'])(
    'treats %j as a gap',
    async (position) => {
      const client = await open(position);
      expect(await client.next()).toMatchObject({ event: 'resume', data: { status: 'gap' } });
    },
  );

  it('authenticates again: a position alone admits no client', async () => {
    const ada = await open();
    await ada.next();
    const resume = positionOf(ada);
    await expect(
      TestClient.open(app.url(`/chat?thread=tea&resume=${resume}`)),
    ).rejects.toMatchObject({ status: 401 });
  });

  it('refuses a position of another user, and counts a violation', async () => {
    const violations: unknown[] = [];
    const listen = (details: unknown): unknown => violations.push(details);
    subscribe('websocket-isolation:isolation-violation', listen);
    const ada = await open();
    await ada.next();
    say('private');
    await eventually(() => expect(said(ada)).toHaveLength(1));
    const start = positionOf(ada).replace(/\d+$/, '0');
    const refused = open(start, { user: 'eve' });
    await expect(refused).rejects.toBeInstanceOf(UpgradeRefused);
    await expect(refused).rejects.toMatchObject({ status: 403 });
    unsubscribe('websocket-isolation:isolation-violation', listen);
    expect(violations).toEqual([
      { subject: expect.objectContaining({ userId: 'eve' }), what: expect.any(String) },
    ]);
    const { factoryMetrics } = app.app.get(WebSocketManagerFactory).getStats();
    expect(factoryMetrics.securityViolationsDetected).toBe(1);
  });

  it('sends no event of a thread to another thread of the same user', async () => {
    const tea = await open();
    await tea.next();
    say('tea only');
    await eventually(() => expect(said(tea)).toHaveLength(1));
    const coffee = await open(positionOf(tea).replace(/\d+$/, '0'), { thread: 'coffee' });
    expect(await coffee.next()).toMatchObject({ event: 'resume', data: { status: 'gap' } });
    emitter.toThread('ada', 'coffee').send('said', 'coffee');
    await eventually(() => expect(said(coffee)).toEqual(['coffee']));
  });

  it('keeps critical events for a user who has never connected', async () => {
    expect(emitter.toThread('ada', 'tea').sendCritical('said', 'paid')).toEqual({
      sent: 0,
      queued: 0,
      dropped: 0,
    });
    say('not critical, but in the thread now');
    const client = await open();
    await eventually(() => expect(said(client)).toEqual(['paid']));
    await eventually(() => expect(client.messages.at(-1)!.event).toBe('resume'));
    say('next');
    await eventually(() => expect(said(client)).toEqual(['paid', 'next']));
  });

  it('replays a critical message of a connection to its successor', async () => {
    const first = await open();
    const other = await open();
    await first.next();
    await other.next();
    const start = positionOf(first);
    first.send('critical', 'for you');
    await eventually(() => expect(first.messages.at(-1)).toMatchObject({ data: 'for you' }));
    first.terminate();
    await first.closed();
    const next = await open(start);
    await eventually(() => expect(next.messages.at(-1)).toMatchObject({ data: 'for you' }));
    say('to all');
    await eventually(() => expect(said(other)).toEqual(['to all']));
    expect(other.messages.filter(({ event }) => event === 'important')).toEqual([]);
  });

  it('keeps no state of ended connections, and threads only for the window', async () => {
    const resume = app.app.get(Resume);
    for (let round = 0; round < 50; round += 1) {
      const client = await open(undefined, { thread: `thread-${round % 5}` });
      if (round % 2 === 0) client.terminate();
      else await client.close();
    }
    await eventually(() => expect(resume.readers).toBe(0));
    expect((resume.history as MemoryHistory).size).toBe(5);
    expect((resume.history as MemoryHistory).bytes).toBe(0);
  });

  it('does not overflow a slow client with a replay', async () => {
    const first = await open();
    await first.next();
    const start = positionOf(first);
    await first.close();
    const text = 'x'.repeat(1_500);
    for (let index = 0; index < 100; index += 1) say([index, text]);
    const second = await open(start);
    second.socket.pause();
    say(['live', text]);
    second.socket.resume();
    await eventually(() => expect(said(second)).toHaveLength(101));
    expect(said(second).map((data) => (data as unknown[])[0])).toEqual([
      ...Array.from({ length: 100 }, (_, index) => index),
      'live',
    ]);
  });
});

describe('without resume', () => {
  it('adds nothing to a frame and sends no positions', async () => {
    const app = await startApp({ providers: [ChatGateway] });
    try {
      const client = await TestClient.open(
        app.url('/chat?user=ada&thread=tea&resume=abcdefghij.1'),
      );
      client.send('say', 'plain');
      expect(await client.next()).toEqual({ event: 'said', data: 'plain' });
      app.app.get(WebSocketEmitter).toThread('ada', 'tea').sendCritical('said', 'critical');
      expect(await client.next()).toEqual({ event: 'said', data: 'critical' });
    } finally {
      await app.close();
    }
  });
});
