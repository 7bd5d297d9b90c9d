import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get, Header } from '@nestjs/common';
import { ConnectedSocket, MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  type ConnectionIdentity,
  IsolatedGateway,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import type { Browser, Page } from 'playwright-core';

import { startBrowser } from '../support/browser.js';
import { plain, projectFile, tableOf } from '../support/readme.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** Maps the texts of the table in the docs to the reactions of the module. */
const REACTION_OF: Readonly<Record<string, string>> = {
  no: 'stop',
  'yes, at once': 'at once',
  'yes, with back-off': 'back off',
  'after retryAfterMs': 'after retryAfterMs',
  'after signing in': 'sign in',
  'when there is something to say': 'when needed',
};

const documented = tableOf('docs/reference/close-codes.md', 'close-codes').map((row) => {
  const words = plain(row[3]);
  const phrase = Object.keys(REACTION_OF).find((start) => words.startsWith(start))!;
  return { code: Number(row[0]), reaction: REACTION_OF[phrase]! };
});

@Controller()
class PageController {
  @Get()
  @Header('Content-Type', 'text/html')
  page(): string {
    return '<!doctype html><title>test</title>';
  }

  @Get('reconnecting-socket.js')
  @Header('Content-Type', 'text/javascript')
  script(): string {
    return projectFile('docs/guide/reconnecting-socket.js');
  }
}

@IsolatedGateway({ path: '/line' })
class LineGateway {
  constructor(
    private readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
  ) {}

  handleConnection(): void {
    if (this.context.userId === 'doomed') throw new Error('never up');
  }

  @SubscribeMessage('close')
  close(
    @MessageBody() { code, reason }: { code: number; reason?: string },
    @ConnectedSocket() client: { terminate(): void },
  ): void {
    if (code === 1006) client.terminate();
    else void this.manager.close(code, reason);
  }

  @SubscribeMessage('echo')
  echo(@MessageBody() data: unknown): unknown {
    return { event: 'echo', data };
  }
}

// The users are `ada`, `bob` and `doomed`. Signing in gives the token `new-token`.
function authenticate(request: {
  url?: string;
  headers: NodeJS.Dict<string | string[]>;
}): ConnectionIdentity | null {
  const query = new URL(request.url ?? '/', 'http://localhost').searchParams;
  const isNew = String(request.headers['sec-websocket-protocol']).includes('new-token');
  const userId = query.get('user') ?? (isNew ? 'ada' : undefined);
  return userId ? { userId, threadId: query.get('thread') ?? 'tea' } : null;
}

let browser: Browser;
let server: TestApp;
let page: Page;

beforeAll(async () => {
  browser = await startBrowser();
  server = await startApp({
    controllers: [PageController],
    providers: [LineGateway],
    options: {
      authenticator: authenticate as never,
      handshake: { rejectWith: 'close' },
      limits: { maxManagersPerUser: 3 },
      resume: {},
      topics: { authorizer: (_context, topic) => topic.startsWith('room:'), history: {} },
    },
  });
  page = await browser.newPage();
  await page.goto(`http://127.0.0.1:${server.port}/`);
  await page.evaluate(`(async () => {
    const { ReconnectingSocket, REACTIONS } = await import('/reconnecting-socket.js');
    Object.assign(globalThis, { REACTIONS });
    globalThis.open_ = (query, options) => {
      const url = location.href.replace('http', 'ws') + 'line' + query;
      const socket = new ReconnectingSocket(url, { firstDelayMs: 20, longestDelayMs: 160, ...options });
      socket.log = [];
      for (const type of ['open', 'message', 'gap', 'waiting', 'stopped']) {
        socket.addEventListener(type, ({ detail }) => socket.log.push({ type, ...detail }));
      }
      socket.until = async (type, count = 1) => {
        while (socket.log.filter((entry) => entry.type === type).length < count) {
          await new Promise((resolve) => socket.addEventListener(type, resolve, { once: true }));
        }
        return socket.log.filter((entry) => entry.type === type);
      };
      return socket;
    };
  })()`);
});
afterAll(async () => {
  await browser?.close();
  await server?.close();
});

function isStop({ reaction }: { reaction: string }): boolean {
  return reaction === 'stop';
}

/** Runs the body of an async function in the page. */
function inPage<T>(body: string): Promise<T> {
  return page.evaluate(`(async () => { ${body} })()`);
}

interface Entry {
  readonly type: string;
  readonly code: number;
  readonly reaction: string;
  readonly delayMs: number;
  readonly event: string;
  readonly data: unknown;
  readonly topic?: string;
}

describe('docs/guide/reconnecting-socket.js', () => {
  it('has every close code of the documentation, with the documented reaction', async () => {
    const reactions = await inPage<Record<string, string>>('return REACTIONS;');
    const ours = Object.fromEntries(documented.map(({ code, reaction }) => [code, reaction]));
    const ofWs = { 1002: 'stop', 1003: 'stop', 1007: 'stop' };
    expect(reactions).toEqual({ ...ours, ...ofWs });
  });

  it.each(documented.filter(isStop))('does not reconnect after $code', async ({ code }) => {
    const log = await inPage<Entry[]>(`
      const socket = open_('?user=ada');
      await socket.until('open');
      socket.send('close', { code: ${code} });
      await socket.until('stopped');
      if (socket.send('echo', 1)) throw new Error('a stopped socket takes nothing');
      return socket.log;
    `);
    expect(log.slice(1)).toEqual([expect.objectContaining({ type: 'stopped', code })]);
  });

  it.each(documented.filter((row) => !isStop(row)))(
    'reconnects after $code: $reaction',
    async ({ code, reaction }) => {
      const { log, signIns } = await inPage<{ log: Entry[]; signIns: number }>(`
        let signIns = 0;
        const socket = open_('?user=ada', { signIn: async () => Boolean(signIns += 1) });
        await socket.until('open');
        socket.send('close', { code: ${code}, reason: '{"retryAfterMs":120}' });
        await socket.until('waiting');
        if (${reaction === 'when needed'}) socket.send('echo', 'something to say');
        await socket.until('open', 2);
        socket.close();
        return { log: socket.log, signIns };
      `);
      const [least, most] = {
        'at once': [0, 20],
        'back off': [10, 20],
        'after retryAfterMs': [130, 140],
        'sign in': [0, 0],
        // It does not reconnect by a timer, only when there is a message to send.
        'when needed': [Infinity, Infinity],
      }[reaction]!;
      expect(log.slice(1, 3)).toMatchObject([
        { type: 'waiting', code, reaction },
        { type: 'open' },
      ]);
      expect(log[1]!.delayMs ?? Infinity).toBeGreaterThanOrEqual(least!);
      expect(log[1]!.delayMs ?? Infinity).toBeLessThanOrEqual(most!);
      expect(signIns).toBe(reaction === 'sign in' ? 1 : 0);
    },
  );

  it('doubles its delay up to the bound, even if each connection opens first', async () => {
    const waits = await inPage<Entry[]>(`
      const socket = open_('?user=doomed');
      const waits = await socket.until('waiting', 6);
      socket.close();
      return waits;
    `);
    for (const [index, { delayMs, code }] of waits.entries()) {
      expect(code).toBe(1011);
      const longest = Math.min(160, 20 * 2 ** index);
      expect(delayMs).toBeGreaterThanOrEqual(longest / 2);
      expect(delayMs).toBeLessThanOrEqual(longest);
    }
  });

  it('resets its back-off after a stable connection', async () => {
    const waits = await inPage<Entry[]>(`
      const socket = open_('?user=ada', { stableAfterMs: 1 });
      for (let count = 1; count <= 3; count += 1) {
        await socket.until('open', count);
        await new Promise((resolve) => setTimeout(resolve, 20));
        socket.send('close', { code: 1011 });
        await socket.until('waiting', count);
      }
      socket.close();
      return socket.log.filter(({ type }) => type === 'waiting');
    `);
    for (const { delayMs } of waits) expect(delayMs).toBeLessThanOrEqual(20);
  });

  it('signs in when it is unauthorized, and reconnects with the new token', async () => {
    const log = await inPage<Entry[]>(`
      let token = 'none';
      const protocols = () => ['chat', token];
      const socket = open_('', { protocols, signIn: () => (token = 'new-token') });
      await socket.until('open', 2);
      socket.send('echo', 'me');
      await socket.until('message');
      socket.close();
      return socket.log;
    `);
    expect(log.find(({ type }) => type === 'waiting')).toMatchObject({ code: 4401 });
    expect(log.find(({ type }) => type === 'message')).toMatchObject({ event: 'echo', data: 'me' });
  });

  it.each(['() => false', 'undefined', 'async () => { throw new Error(); }', '() => { throw 1; }'])(
    'stops if signing in fails: %s',
    async (signIn) => {
      const log = await inPage<Entry[]>(`
        const signIn = ${signIn};
        const socket = open_('', signIn ? { signIn } : {});
        await socket.until('stopped');
        return socket.log;
      `);
      expect(log.at(-1)).toMatchObject({ type: 'stopped', code: 4401 });
    },
  );

  it('waits for the retryAfterMs of the server when all connections are in use', async () => {
    const [wait] = await inPage<Entry[]>(`
      const others = [1, 2, 3].map(() => open_('?user=bob'));
      await Promise.all(others.map((other) => other.until('open')));
      const socket = open_('?user=bob');
      const waits = await socket.until('waiting');
      for (const each of [socket, ...others]) each.close();
      return waits;
    `);
    expect(wait).toMatchObject({ code: 4429, reaction: 'after retryAfterMs' });
    expect(wait!.delayMs).toBeGreaterThanOrEqual(5_000);
  });

  it('queues messages while it is disconnected, in order and up to its bound', async () => {
    const { kept, log } = await inPage<{ kept: boolean[]; log: Entry[] }>(`
      const socket = open_('?user=ada', { maxWaiting: 2 });
      await socket.until('open');
      socket.send('close', { code: 1006 });
      await socket.until('waiting');
      const kept = [1, 2, 3].map((number) => socket.send('echo', number));
      socket.addEventListener('open', () => socket.send('echo', 'later'), { once: true });
      await socket.until('message', 3);
      socket.close();
      return { kept, log: socket.log };
    `);
    expect(kept).toEqual([true, true, false]);
    const echoes = log.filter(({ type }) => type === 'message').map(({ data }) => data);
    expect(echoes).toEqual([1, 2, 'later']);
  });

  it('gets missed messages once', async () => {
    const emitter = server.app.get(WebSocketEmitter);
    const say = (text: string): unknown => emitter.toThread('ada', 'tea').send('said', text);
    await inPage(`
      globalThis.socket = open_('?user=ada&thread=tea', { firstDelayMs: 60_000, longestDelayMs: 60_000 });
      await socket.until('open');
      socket.send('echo', 'ready');
      await socket.until('message');
    `);
    say('before');
    await inPage(`
      await socket.until('message', 2);
      socket.send('close', { code: 1006 });
      await socket.until('waiting');
    `);
    say('meanwhile');
    const messages = await inPage<Entry[]>(`
      window.dispatchEvent(new Event('online')); // reconnects without a delay when the network is back
      await socket.until('open', 2);
      socket.send('echo', 'again');
      const messages = await socket.until('message', 4);
      socket.close();
      return messages;
    `);
    expect(messages.map(({ data }) => data)).toEqual(['ready', 'before', 'meanwhile', 'again']);
  });

  it('subscribes to its topics again after it has reconnected, and gets what they missed once', async () => {
    const emitter = server.app.get(WebSocketEmitter);
    const say = (text: string): unknown => emitter.toTopic('room:7').send('said', text);
    await inPage(`
      globalThis.socket = open_('?user=ada&thread=tea', { firstDelayMs: 60_000, longestDelayMs: 60_000 });
      socket.subscribe('room:7');
      socket.subscribe('secret');
      await socket.until('message', 2);
    `);
    say('before');
    await inPage(`
      await socket.until('message', 3);
      socket.send('close', { code: 1006 });
      await socket.until('waiting');
    `);
    say('meanwhile');
    const log = await inPage<Entry[]>(`
      window.dispatchEvent(new Event('online'));
      await socket.until('message', 5);
      socket.unsubscribe('room:7');
      socket.send('echo', 'ready');
      await socket.until('message', 7);
      socket.close();
      return socket.log;
    `);
    const messages = log.filter(({ type }) => type === 'message');
    expect(
      messages
        .slice(0, 2)
        .map(({ event }) => event)
        .toSorted(),
    ).toEqual(['exception', 'subscribed']);
    expect(messages.slice(2).map(({ event, data, topic }) => [event, topic ?? data])).toEqual([
      ['said', 'room:7'],
      ['subscribed', expect.anything()],
      ['said', 'room:7'],
      ['unsubscribed', { topic: 'room:7' }],
      ['echo', 'ready'],
    ]);
    expect(messages[4]!.data).toBe('meanwhile');
    // The position of the topic was not taken for that of the thread: the server would have refused it.
    expect(log.filter(({ type }) => type === 'open')).toHaveLength(2);
  });

  it('does not reconnect after close()', async () => {
    const log = await inPage<Entry[]>(`
      const socket = open_('?user=ada');
      await socket.until('open');
      socket.close();
      socket.close();
      window.dispatchEvent(new Event('online'));
      return socket.log;
    `);
    expect(log.map(({ type, code }) => [type, code])).toEqual([
      ['open', undefined],
      ['stopped', 1000],
    ]);
  });
});
