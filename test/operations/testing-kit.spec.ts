import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';
import { Injectable, Module } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { ConnectedSocket, MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  CLOCK,
  CloseCode,
  type ConnectionIdentity,
  CurrentManager,
  IsolatedGateway,
  IsolationEventBus,
  UserExecutionContext,
  WebSocketIsolationModule,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import {
  eventually,
  expectNoLeaks,
  FakeClock,
  startTestApplication,
  TestApplication,
  TestAuthenticator,
} from 'nestjs-websocket-isolation/testing';
import { defineContract } from 'nestjs-websocket-isolation/contract';
import type { WebSocket } from 'ws';
import { z } from 'zod';

/** Stands for the authenticator of an app: it refuses every client without a real token. */
@Injectable()
class TokenAuthenticator {
  async authenticate(): Promise<ConnectionIdentity | null> {
    await Promise.resolve();
    return null;
  }

  renew(): null {
    return null;
  }
}

const held: unknown[] = [];

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  constructor(readonly context: UserExecutionContext) {}

  handleConnection(): void {
    // The tests do not use this hook.
  }

  @SubscribeMessage('who')
  who(): unknown {
    return { event: 'you', data: this.context.userId };
  }

  @SubscribeMessage('say')
  say(@MessageBody() text: string, @CurrentManager() manager: WebSocketManager): unknown {
    manager.send('typing');
    return { event: 'said', data: text };
  }

  /** Sends frames that are not messages. */
  @SubscribeMessage('raw')
  raw(@ConnectedSocket() client: WebSocket): void {
    for (const frame of [Buffer.from([0, 1, 255]), 'no JSON {', '', 'null', '42', '{"a":1}']) {
      client.send(frame);
    }
    client.send('{"event":"said"}');
  }

  @SubscribeMessage('leave')
  leave(@CurrentManager() manager: WebSocketManager): void {
    void manager.close(4401, 'token revoked');
  }

  @SubscribeMessage('flood')
  async flood(@CurrentManager() manager: WebSocketManager): Promise<void> {
    for (let piece = 0; piece < 300 && manager.isActive; piece += 1) {
      manager.send('piece', 'x'.repeat(64_000));
      // Enough time for a client that reads.
      await sleep(2);
    }
  }

  @SubscribeMessage('hold')
  hold(@CurrentManager() manager: WebSocketManager): unknown {
    held.push(manager);
    return { event: 'held' };
  }
}

// A module like a real app's, with its own authenticator.
@Module({
  imports: [
    WebSocketIsolationModule.forRoot({
      authenticator: TokenAuthenticator,
      outbound: { maxBufferedBytes: 65_536 },
      cleanup: { closeTimeoutMs: 200 },
    }),
  ],
  providers: [TokenAuthenticator, ChatGateway],
})
class AppModule {}

let app: TestApplication;
let clock: FakeClock;

async function start(): Promise<void> {
  clock = new FakeClock();
  const testing = await Test.createTestingModule({ imports: [AppModule] })
    .overrideProvider(TokenAuthenticator)
    .useClass(TestAuthenticator)
    .overrideProvider(CLOCK)
    .useValue(clock)
    .compile();
  app = await startTestApplication(testing.createNestApplication({ logger: false }));
}

afterEach(async () => {
  held.length = 0;
  await app.close();
});

describe('the test kit', () => {
  it('connects as any user to an app whose authenticator is replaced', async () => {
    await start();
    const client = await app.connectAs({ userId: 'ada', threadId: 'tea' }, '/chat');
    expect(await client.ask('who')).toEqual({ event: 'you', data: 'ada' });
    await client.close();
    await expectNoLeaks(app.app);
  });

  it('renews the identity of such a connection, and refuses that of another user', async () => {
    await start();
    const client = await app.connectAs(
      { userId: 'ada', expiresAt: clock.epoch() + 60_000 },
      '/chat',
    );
    const expiresAt = clock.epoch() + 3_600_000;
    expect(await app.renewAs({ userId: 'ada', expiresAt }, client)).toEqual({ expiresAt });
    await expect(app.renewAs({ userId: 'bob' }, client)).rejects.toThrow('FORBIDDEN');
    expect(await client.closed()).toBe(4403);
    await expect(
      (await app.connectAs({ userId: 'ada' }, '/chat')).renew('made up'),
    ).rejects.toThrow('UNAUTHORIZED');
  });

  it('refuses connections without a valid test ticket', async () => {
    await start();
    const tickets = ['', 'undefined', '00000000-0000-4000-8000-000000000000'];
    for (const ticket of tickets) {
      const headers = { 'x-test-ticket': ticket };
      await expect(app.connect('/chat', { headers })).rejects.toMatchObject({ status: 401 });
    }
    await expect(app.connect('/chat')).rejects.toThrow('refused with 401');
  });

  it('does not change an app whose authenticator is not replaced', async () => {
    app = await startTestApplication(AppModule);
    await expect(app.connectAs({ userId: 'ada' }, '/chat')).rejects.toMatchObject({ status: 401 });
  });

  it('waits for events by name, and lists the messages that came instead', async () => {
    await start();
    const client = await app.connectAs({ userId: 'ada' }, '/chat');
    client.send('say', 'hello');
    expect(await client.next('said')).toEqual({ event: 'said', data: 'hello' });
    await expect(client.next('said', 20)).rejects.toThrow(
      'No "said" came within 20 ms. The connection is open; not taken yet: typing.',
    );
    expect(await client.next()).toEqual({ event: 'typing' });
    const waiting = client.next('said');
    client.send('leave');
    await expect(waiting).rejects.toThrow(
      'No "said" came before the connection ended. The connection ended with 4401 "token revoked"',
    );
    expect(await client.closed()).toBe(4401);
    expect(client.closeReason).toBe('token revoked');
  });

  it('checks what the server sends against the contract of a test client', async () => {
    await start();
    const contract = defineContract({
      client: { who: { reply: z.string() }, say: { data: z.unknown(), reply: z.string() } },
      server: { typing: {}, said: { data: z.string().max(5).toUpperCase() } },
    });
    const client = await app.connectAs({ userId: 'ada' }, '/chat', { contract });
    client.send('say', 'hello');
    expect(await client.next('said')).toEqual({ event: 'said', data: 'HELLO' });
    client.send('say', 'longer');
    await expect(client.next('said')).rejects.toThrow('The data of "said" does not fit');
    expect(client.messages.at(-1)).toEqual({ event: 'said', data: 'longer' });
    // What the contract does not have is taken as it is.
    client.socket.send('{"event":"raw"}');
    for (let count = 0; count < 8; count += 1) await client.next();
    await client.close();
  });

  it('gives a page’s client the identity of a test, also when it comes back', async () => {
    await start();
    let headers: IncomingHttpHeaders = {};
    app.app.getHttpServer().on('upgrade', (request: IncomingMessage) => ({ headers } = request));
    const client = app.client('/chat', {
      identity: { userId: 'ada' },
      headers: { 'x-page': 'tests' },
      origin: `http://127.0.0.1:${app.port}`,
      reactions: { 4401: 'at once' },
    });
    const you: unknown[] = [];
    client.on('you', (data) => you.push(data));
    client.send('who');
    await eventually(() => expect(you).toEqual(['ada']));
    const states: string[] = [];
    client.onState(({ state }) => states.push(state));
    client.send('leave');
    await eventually(() => expect(states).toEqual(['waiting', 'connecting', 'open']));
    client.send('who');
    await eventually(() => expect(you).toEqual(['ada', 'ada']));
    client.close();
    await expectNoLeaks(app.app);
    expect(headers).toMatchObject({ 'x-page': 'tests', origin: `http://127.0.0.1:${app.port}` });

    const ticket = String(headers['x-test-ticket']);
    const late = app.client('/chat', { headers: { 'x-test-ticket': ticket } });
    const ended = new Promise((resolve) => late.onState(({ state }) => resolve(state)));
    expect(await ended).toBe('waiting');
    await app.close();
    expect(late.state).toBe('closed');
  });

  it('keeps frames that are not messages unchanged', async () => {
    await start();
    const client = await app.connectAs({ userId: 'ada' }, '/chat');
    client.send('raw');
    expect(await client.next('said')).toEqual({ event: 'said' });
    await expect(client.next('more', 20)).rejects.toThrow(
      'not taken yet: (binary), (text), (text), null, 42, {"a":1}.',
    );
    expect(client.messages.slice(0, 6)).toEqual([
      { event: '', data: Buffer.from([0, 1, 255]), raw: 'binary' },
      { event: '', data: 'no JSON {', raw: 'text' },
      { event: '', data: '', raw: 'text' },
      null,
      42,
      { a: 1 },
    ]);
    expect(await client.next()).toBe(client.messages[0]);
    expect(await client.next('')).toBe(client.messages[1]);
    expect(client.closeCode).toBeUndefined();
  });

  it('advances the clock', async () => {
    await start();
    const client = await app.connectAs({ userId: 'ada' }, '/chat');
    await client.ask('who');
    const thaw = client.freeze();
    // 25 s to the next ping, the timeout of 10 s, and the granularity of the ping schedule.
    for (let second = 0; second < 45; second += 1) await clock.advance(1_000);
    thaw();
    // The server has cut the connection, because the client did not reply.
    expect([CloseCode.ABNORMAL, CloseCode.UNRESPONSIVE]).toContain(await client.closed());
    await expectNoLeaks(app.app);
  });

  it('makes clients read slowly', async () => {
    await start();
    const slow: string[] = [];
    const release = app.app
      .get(IsolationEventBus)
      .on('slow-consumer', ({ subject }) => void slow.push(subject.userId));
    const fast = await app.connectAs({ userId: 'fast' }, '/chat');
    const client = await app.connectAs({ userId: 'slow' }, '/chat');
    const hurry = client.readSlowly(50_000);
    client.send('flood');
    await eventually(() => expect(slow).toEqual(['slow']));
    fast.send('flood');
    await eventually(() => expect(fast.messages.length).toBe(300));
    expect(slow).toEqual(['slow']);
    hurry();
    client.terminate();
    await client.closed();
    release();
  });

  it('lists what is left after the connections', async () => {
    await start();
    const client = await app.connectAs({ userId: 'ada', threadId: 'tea' }, '/chat');
    await expect(expectNoLeaks(app.app, 20)).rejects.toThrow(
      'Something is left of connections that should be gone: 1 × active connections; 1 × users with connections.',
    );
    await client.ask('hold');
    await client.close();
    await expect(expectNoLeaks(app.app, 200)).rejects.toThrow(/1 × reachable conn_\w+ of ada:tea/);
    held.length = 0;
    await expectNoLeaks(app.app);
  });

  it('closes the app with its clients', async () => {
    await start();
    const client = await app.connectAs({ userId: 'ada' }, '/chat');
    await app.close();
    expect(await client.closed()).toBe(1001);
  });
});
