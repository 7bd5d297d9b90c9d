import { setImmediate as nextTurn } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Inject, Injectable, Scope } from '@nestjs/common';
import { ContextIdFactory, ModuleRef, REQUEST } from '@nestjs/core';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  ConnectionRequest,
  IsolatedGateway,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { TestClient } from 'nestjs-websocket-isolation/testing';
import { defer, map, timer } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

const instances = new Set<object>();

@Injectable({ scope: Scope.REQUEST })
class Notes {
  readonly lines: string[] = [];
  constructor(
    readonly context: UserExecutionContext,
    @Inject(REQUEST) readonly request: ConnectionRequest,
  ) {
    instances.add(this);
  }
}

@IsolatedGateway({ path: '/room' })
class RoomGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
    readonly notes: Notes,
    readonly emitter: WebSocketEmitter,
    readonly moduleRef: ModuleRef,
  ) {
    instances.add(this);
  }

  @SubscribeMessage('note')
  async note(@MessageBody('line') line: string): Promise<unknown> {
    await nextTurn();
    this.notes.lines.push(line);
    return { event: 'notes', data: { userId: this.context.userId, lines: this.notes.lines } };
  }

  @SubscribeMessage('tell-all-mine')
  tellAll(@MessageBody() text: string): void {
    this.emitter.toUser(this.context.userId).send('told', { to: this.context.userId, text });
  }

  @SubscribeMessage('current')
  async current(): Promise<unknown> {
    const before = UserExecutionContext.current();
    await nextTurn();
    return {
      event: 'current',
      data: [before, UserExecutionContext.current()].every((c) => c === this.context),
    };
  }

  @SubscribeMessage('stream')
  stream(): unknown {
    return defer(() => {
      const { userId } = UserExecutionContext.current();
      return timer(1).pipe(map(() => [userId, UserExecutionContext.current().userId]));
    });
  }

  @SubscribeMessage('request')
  async request(): Promise<unknown> {
    const { request } = this.notes;
    const contextId = ContextIdFactory.getByRequest(request);
    return {
      event: 'request',
      data: {
        isRequest: request instanceof ConnectionRequest,
        isFrozen: Object.isFrozen(request),
        path: request.path,
        query: request.query,
        headers: request.headers,
        hasAddress: typeof request.remoteAddress === 'string',
        resolvesToItself: (await this.moduleRef.resolve(Notes, contextId)) === this.notes,
      },
    };
  }
}

@Controller()
class WhoController {
  constructor(readonly context: UserExecutionContext) {}
  @Get('who')
  who(): unknown {
    return { userId: this.context.userId, isolationKey: this.context.isolationKey };
  }
}

describe('connections', () => {
  let testApp: TestApp;
  afterEach(() => testApp.close());

  it('never share a context, a manager, an instance or a message', async () => {
    instances.clear();
    testApp = await startApp({ providers: [RoomGateway, Notes] });
    const users = Array.from({ length: 100 }, (_, index) => `user-${index % 10}`);
    const clients = await Promise.all(
      users.map((user, index) =>
        TestClient.open(testApp.url(`/room?user=${user}&thread=thread-${index}`)),
      ),
    );
    const answers = await Promise.all(
      clients.map(async (client, index) => {
        for (let line = 0; line < 5; line += 1) client.send('note', { line: `${index}.${line}` });
        const seen: unknown[] = [];
        for (let line = 0; line < 5; line += 1) seen.push((await client.next()).data);
        return seen.at(-1);
      }),
    );
    answers.forEach((answer, index) => {
      const lines = [0, 1, 2, 3, 4].map((line) => `${index}.${line}`);
      expect(answer).toEqual({ userId: users[index], lines });
    });
    // Each connection has two instances of its own: the gateway and its notes.
    expect(instances.size).toBe(200);
    const factory = testApp.app.get(WebSocketManagerFactory);
    const managers = [...new Set(users)].flatMap((user) => factory.managersOf(user));
    expect(new Set(managers).size).toBe(100);
    expect(new Set(managers.map(({ context }) => context)).size).toBe(100);
    expect(new Set(managers.map(({ context }) => context.connectionId)).size).toBe(100);

    for (const client of clients.slice(0, 10)) client.send('tell-all-mine', 'hello');
    const told = await Promise.all(clients.map((client) => client.next()));
    told.forEach(({ data }, index) => expect(data).toEqual({ to: users[index], text: 'hello' }));
    expect(clients.every(({ messages }) => messages.length === 6)).toBe(true);
  });

  it('never share one if ids contain `:` or `%` and look alike', async () => {
    testApp = await startApp({ providers: [RoomGateway, Notes] });
    const pairs = [
      ['a:b', 'c'],
      ['a', 'b:c'],
      ['a%3Ab', 'c'],
      ['a%', '3Ab:c'],
    ] as const;
    const clients = await Promise.all(
      pairs.map(([user, thread]) =>
        TestClient.open(
          testApp.url(`/room?${new URLSearchParams({ user, thread: thread }).toString()}`),
        ),
      ),
    );
    const factory = testApp.app.get(WebSocketManagerFactory);
    const managers = pairs.map(([user, thread]) => factory.managersOfThread(user, thread));
    expect(managers.map(({ length }) => length)).toEqual([1, 1, 1, 1]);
    const keys = managers.map(([manager]) => manager!.context.isolationKey);
    expect(new Set(keys).size).toBe(pairs.length);
    for (const client of clients) client.send('tell-all-mine', 'hello');
    const told = await Promise.all(clients.map((client) => client.next()));
    told.forEach(({ data }, index) => {
      expect(data).toEqual({ to: pairs[index]![0], text: 'hello' });
    });
    for (const client of clients) await client.close();
    expect(clients.every(({ messages }) => messages.length === 1)).toBe(true);
  });

  it('have their context in all code that runs for them', async () => {
    testApp = await startApp({ providers: [RoomGateway, Notes] });
    const [ada, bob] = await Promise.all(
      ['ada', 'bob'].map((user) => TestClient.open(testApp.url(`/room?user=${user}`))),
    );
    expect((await ada!.ask('current')).data).toBe(true);
    expect(await ada!.ask('stream')).toEqual(['ada', 'ada']);
    expect(await bob!.ask('stream')).toEqual(['bob', 'bob']);
    expect(() => UserExecutionContext.current()).toThrow('no active execution context');
  });

  it('have a small frozen REQUEST, in the first scope and in later ones', async () => {
    testApp = await startApp({
      providers: [RoomGateway, Notes],
      options: { handshake: { keepHeaders: ['x-tenant'] } },
    });
    for (const user of ['ada', 'bob']) {
      const headers = { 'x-tenant': 'acme', authorization: 'secret' };
      const client = await TestClient.open(testApp.url(`/room?user=${user}&a=1`), { headers });
      expect((await client.ask('request')).data).toEqual({
        isRequest: true,
        isFrozen: true,
        path: '/room',
        query: { user, a: '1' },
        headers: { 'x-tenant': 'acme' },
        hasAddress: true,
        resolvesToItself: true,
      });
    }
  });

  it('and HTTP requests have the same kind of context', async () => {
    testApp = await startApp({ controllers: [WhoController] });
    const http = testApp.url('/who').replace('ws:', 'http:');
    const answer = await fetch(`${http}?user=ada&thread=tea`);
    expect(await answer.json()).toEqual({ userId: 'ada', isolationKey: 'ada:tea' });
    expect((await fetch(http)).status).toBe(401);
    expect((await fetch(`${http}?user=default`)).status).toBe(400);
  });
});
