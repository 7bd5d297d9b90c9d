import type { AddressInfo } from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';
import { type INestApplication, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { type HandshakeRequest, WebSocketIsolationModule } from 'nestjs-websocket-isolation';
import { connect } from 'nestjs-websocket-isolation/client';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { io } from 'socket.io-client';
import { WebSocket } from 'ws';

import { projectFile } from '../support/readme.js';
import { ChatGateway as After } from './after.gateway.js';
import { ChatGateway as Before } from './before.gateway.js';
import { userOf } from './users.js';

/** What the scenario needs of a client, whichever library it is made with. */
interface User {
  on(event: string, listener: (data: unknown) => void): void;
  request(event: string, data?: unknown): Promise<unknown>;
  send(event: string, data?: unknown): void;
  answer(event: string, answerer: () => unknown): void;
  close(): void;
}

type Visit = (port: number, token: string, onRefused?: () => void) => User;

const withSocketIo: Visit = (port, token, onRefused) => {
  const socket = io(`http://127.0.0.1:${port}/chat`, {
    auth: { token },
    transports: ['websocket'],
    forceNew: true,
  });
  if (onRefused) socket.on('connect_error', onRefused);
  return {
    on: (event, listener) => void socket.on(event, listener),
    request: (event, data) => socket.emitWithAck(event, data),
    send: (event, data) => void socket.emit(event, data),
    answer: (event, answerer) =>
      void socket.on(event, (_data: unknown, ack: (answer: unknown) => void) => ack(answerer())),
    close: () => void socket.close(),
  };
};

const withThisLibrary: Visit = (port, token, onRefused) => {
  const client = connect(`ws://127.0.0.1:${port}/chat`, { token: () => token, WebSocket });
  if (onRefused) client.onState(({ state }) => void (state === 'closed' && onRefused()));
  return {
    on: (event, listener) => void client.on(event, listener),
    request: (event, data) => client.request(event, data),
    send: (event, data) => void client.send(event, data),
    answer: (event, answerer) => void client.answer(event, answerer),
    close: () => client.close(),
  };
};

@Module({ providers: [Before] })
class BeforeModule {}

@Module({
  imports: [
    WebSocketIsolationModule.forRoot({
      authenticator: ({ headers }: HandshakeRequest) => {
        const userId = userOf(headers['sec-websocket-protocol']?.split(',').at(-1)?.trim() ?? '');
        return userId === undefined ? null : { userId };
      },
      handshake: { rejectWith: 'close' },
    }),
  ],
  providers: [After],
})
class AfterModule {}

const apps: INestApplication[] = [];
const users: User[] = [];
afterEach(async () => {
  for (const user of users.splice(0)) user.close();
  for (const app of apps.splice(0)) await app.close();
});

type Enter = (token: string, onRefused?: () => void) => User;

async function start(module: Type, visit: Visit): Promise<Enter> {
  const app = await NestFactory.create(module, { logger: false, abortOnError: false });
  apps.push(app);
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): AddressInfo }).address();
  return (token, onRefused) => {
    const user = visit(port, token, onRefused);
    users.push(user);
    return user;
  };
}

describe.each([
  ['Socket.IO', BeforeModule, withSocketIo],
  ['this library', AfterModule, withThisLibrary],
] as const)('the chat of the guide, with %s', (_name, module, visit) => {
  it('greets, has rooms with replies, sends to others and to users, and asks', async () => {
    const enter = await start(module, visit);
    const heard: [who: string, event: string, data: unknown][] = [];
    const [ada, bob] = ['ada', 'bob'].map((name) => {
      const user = enter(`token-of-${name}`);
      for (const event of ['welcome', 'said', 'typing', 'whispered']) {
        user.on(event, (data) => heard.push([name, event, data]));
      }
      return user;
    }) as [User, User];
    const hears = (...expected: [string, string, unknown]): Promise<void> =>
      eventually(() => expect(heard).toContainEqual(expected));

    await hears('ada', 'welcome', { you: 'ada' });
    await hears('bob', 'welcome', { you: 'bob' });
    expect(await ada.request('enter', { room: 'tea' })).toEqual({ members: ['ada'] });
    expect(await bob.request('say', { room: 'tea', text: 'hi' })).toEqual({
      error: 'not in the room',
    });
    const { members } = (await bob.request('enter', { room: 'tea' })) as { members: string[] };
    expect(members.toSorted()).toEqual(['ada', 'bob']);
    expect(await ada.request('say', { room: 'tea', text: 'hello' })).toEqual({ ok: true });
    await hears('bob', 'said', { from: 'ada', text: 'hello' });
    bob.send('typing', { room: 'tea' });
    await hears('ada', 'typing', { from: 'bob' });
    expect(await ada.request('whisper', { to: 'bob', text: 'psst' })).toEqual({ ok: true });
    await hears('bob', 'whispered', { from: 'ada', text: 'psst' });
    ada.answer('confirm', () => 'yes');
    expect(await ada.request('sure?', {})).toEqual({ answer: 'yes' });
    // Each of them once, and nothing to the sender.
    expect(heard.length).toBe(5);
  });

  it('refuses a wrong token, and closes', async () => {
    const enter = await start(module, visit);
    let isRefused = false;
    enter('wrong', () => (isRefused = true));
    await eventually(() => expect(isRefused).toBe(true));
  });
});

describe('the guide', () => {
  it.each(['before', 'after'])('shows the gateway that the scenario runs: %s', (name) => {
    const code = projectFile(`test/from-socket-io/${name}.gateway.ts`);
    expect(projectFile('docs/guide/from-socket-io.md')).toContain(`\`\`\`ts\n${code}\`\`\``);
  });
});
