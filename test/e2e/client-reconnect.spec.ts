import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { HttpException } from '@nestjs/common';
import {
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  type UserExecutionContext,
  WebSocketEmitter,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import type { ClientOptions, StateChange } from 'nestjs-websocket-isolation/client';
import { eventually } from 'nestjs-websocket-isolation/testing';

import { closeClients, watched, type WatchedClient } from '../support/clients.js';
import { forget, LineGateway, seen } from '../support/line-gateway.js';
import { documentedReactions } from '../support/reactions.js';
import { TcpProxy } from '../support/tcp-proxy.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** The user of each token, which is sent as the second subprotocol. */
const TOKENS: Readonly<Record<string, string>> = { 'token-1': 'ada', 'token-2': 'ada' };

function authenticate(request: {
  url?: string;
  headers: NodeJS.Dict<string | string[]>;
}): ConnectionIdentity | null {
  const query = new URL(request.url ?? '/', 'http://localhost').searchParams;
  const [, token = ''] = String(request.headers['sec-websocket-protocol']).split(/, ?/);
  const userId = query.get('user') ?? TOKENS[token];
  return userId ? { userId, threadId: query.get('thread') ?? 'tea' } : null;
}

/** Decides instead of the authorizer. */
let authorize: (() => Promise<boolean>) | undefined;
let server: TestApp;
let proxy: TcpProxy;
let base: string;

beforeAll(async () => {
  server = await startApp({
    providers: [LineGateway],
    options: {
      authenticator: authenticate as never,
      handshake: { rejectWith: 'close' },
      limits: { maxManagersPerUser: 3 },
      resume: {},
      topics: {
        authorizer: async (_context, topic) => authorize?.() ?? topic.startsWith('room:'),
        history: {},
      },
    },
  });
  proxy = await TcpProxy.start(server.port);
  base = `ws://127.0.0.1:${proxy.port}/line`;
});
beforeEach(forget);
afterEach(async () => {
  authorize = undefined;
  proxy.isClosed = false;
  proxy.isMute = false;
  closeClients();
  const factory = server.app.get(WebSocketManagerFactory);
  await eventually(() => expect(factory.getStats().factoryMetrics.managersActive).toBe(0));
});
afterAll(async () => {
  await proxy?.[Symbol.asyncDispose]();
  await server?.close();
});

async function opened(options: ClientOptions = {}, query = '?user=ada'): Promise<WatchedClient> {
  const one = watched(base + query, options);
  await one.reached('open');
  return one;
}

function names(states: readonly StateChange[]): string[] {
  return states.map(({ state }) => state);
}

function echoes(messages: WatchedClient['messages']): unknown[] {
  return messages.filter(({ event }) => event === 'echo').map(({ data }) => data);
}

const documented = documentedReactions();

describe('a close code', () => {
  it.each(documented.filter(({ reaction }) => reaction === 'stop'))(
    '$code ends the client',
    async ({ code }) => {
      const { client, states, reached } = await opened();
      client.send('close', { code, reason: 'so it is' });
      await expect(reached('closed')).resolves.toEqual({
        state: 'closed',
        code,
        reason: 'so it is',
      });
      expect(names(states)).toEqual(['open', 'closed']);
    },
  );

  it.each(documented.filter(({ reaction }) => reaction === 'at once' || reaction === 'back off'))(
    '$code makes the client come back: $reaction, after retryAfterMs',
    async ({ code, reaction }) => {
      const { client, states, reached } = await opened();
      client.send('close', { code, reason: '{"retryAfterMs":40}' });
      const { retryInMs, ...change } = await reached('waiting');
      expect(change).toMatchObject({ state: 'waiting', code });
      const least = code === 1006 ? 0 : 40;
      expect(retryInMs).toBeGreaterThanOrEqual(least);
      expect(retryInMs).toBeLessThan(least + (reaction === 'back off' ? 40 : 20));
      await reached('open', 2);
      expect(names(states)).toEqual(['open', 'waiting', 'connecting', 'open']);
    },
  );

  it('with a retryAfterMs adds no more than firstDelayMs, however long the client would back off', async () => {
    const waits: number[] = [];
    for (let user = 0; user < 10; user += 1) {
      const { client, reached } = await opened(
        { firstDelayMs: 1_000, longestDelayMs: 30_000 },
        `?user=told-${user}`,
      );
      client.send('close', { code: 1011, reason: '{"retryAfterMs":600000}' });
      waits.push((await reached('waiting')).retryInMs! - 600_000);
    }
    expect(Math.min(...waits)).toBeGreaterThanOrEqual(0);
    expect(Math.max(...waits)).toBeLessThanOrEqual(1_000);
  });

  it('4440 makes the client wait until there is something to say', async () => {
    const { client, messages, reached } = await opened();
    for (const [index, say] of [
      () => client.send('echo', 1),
      () => client.request('echo', 2),
      () => client.stream('count', { to: 1 }).next(),
      () => client.subscribe('room:1', () => undefined),
    ].entries()) {
      client.send('close', { code: 4440 });
      await expect(reached('waiting', index + 1)).resolves.toEqual({
        state: 'waiting',
        code: 4440,
        reason: '',
      });
      const said = say();
      await reached('open', index + 2);
      await said;
    }
    await eventually(() => expect(echoes(messages)).toEqual([1]));
  });

  it('of your own gets a reaction of your own', async () => {
    const { client, reached } = await opened({ reactions: { 4010: 'stop', 1000: 'at once' } });
    client.send('close', { code: 1000 });
    await reached('open', 2);
    client.send('close', { code: 4010 });
    await expect(reached('closed')).resolves.toMatchObject({ code: 4010 });
  });
});

describe('waits', () => {
  it('double up to their bound, also when each connection opens first', async () => {
    const { states, reached } = watched(`${base}?user=doomed`);
    await reached('waiting', 8);
    const waits = states.filter(({ state }) => state === 'waiting');
    for (const [index, { retryInMs, code }] of waits.entries()) {
      expect(code).toBe(1011);
      expect(retryInMs).toBeLessThan(Math.min(160, 20 * 2 ** (index + 1)));
    }
  });

  it('begin anew after a connection that has held', async () => {
    const { client, states, reached } = await opened({ stableAfterMs: 0 });
    for (let count = 2; count <= 5; count += 1) {
      client.send('close', { code: 1011 });
      await reached('open', count);
    }
    for (const { retryInMs = 0 } of states) expect(retryInMs).toBeLessThan(40);
  });

  it('are spread: many clients of a server that goes away do not come back together', async () => {
    const many = Array.from({ length: 60 }, (_, number) =>
      watched(`${base}?user=user-${number}`, { firstDelayMs: 60_000, longestDelayMs: 60_000 }),
    );
    await Promise.all(many.map(({ reached }) => reached('open')));
    for (const { client } of many) client.send('close', { code: 1001 });
    const waits = await Promise.all(many.map(({ reached }) => reached('waiting')));
    const tenths = new Set(waits.map(({ retryInMs = 0 }) => Math.floor(retryInMs / 6_000)));
    // Each tenth of the time is used. One of them is empty by chance in one of 60 runs, four in none.
    expect(tenths.size).toBeGreaterThanOrEqual(7);
  });

  it('end a connection attempt that takes too long', async () => {
    proxy.isMute = true;
    const { reached } = watched(`${base}?user=ada`, { connectTimeoutMs: 50 });
    await expect(reached('waiting')).resolves.toMatchObject({
      code: 1006,
      reason: 'no connection within 50 ms',
    });
    proxy.isMute = false;
    proxy.cut();
    await reached('open');
  });
});

describe('tokens', () => {
  it('are sent as the last subprotocol, and asked for anew with each attempt', async () => {
    const reasons: string[] = [];
    const token = async (reason: string): Promise<string> => `token-${reasons.push(reason)}`;
    const { client, reached } = await opened({ token, protocols: ['chat'] }, '');
    await expect(client.request('who')).resolves.toBe('ada');
    client.send('close', { code: 1011 });
    await reached('open', 2);
    await expect(client.request('who')).resolves.toBe('ada');
    expect(reasons).toEqual(['connect', 'connect']);
  });

  it('are asked for anew after a 4401', async () => {
    const reasons: string[] = [];
    const token = (reason: string): string => `token-${reasons.push(reason) - 1}`;
    const { client, states } = await opened({ token }, '');
    await expect(client.request('who')).resolves.toBe('ada');
    expect(states).toMatchObject([
      { state: 'open' },
      { state: 'waiting', code: 4401 },
      { state: 'connecting' },
      { state: 'open' },
    ]);
    expect(reasons).toEqual(['connect', 'unauthorized']);
  });

  it.each([
    ['the same one', () => 'wrong', 4401, /unauthorized|no new token/],
    ['none', () => null, 4401, /no new token/],
  ])('end the client if there is %s', async (_name, token, code, reason) => {
    const { reached } = watched(base, { token });
    const end = await reached('closed');
    expect(end).toMatchObject({ code, reason: expect.stringMatching(reason) });
  });

  it('end a client that has none after a 4401', async () => {
    const { reached } = watched(base);
    await expect(reached('closed')).resolves.toMatchObject({ code: 4401 });
  });

  it.each([
    ['throws', () => Promise.reject(new Error('offline')), 'token() failed: offline'],
    ['is no text', () => 7 as never, 'token() failed: expected a text'],
    ['has spaces', () => 'two words', 'token() failed: expected a text'],
  ])('are asked for again when token() %s', async (_name, bad, text) => {
    let calls = 0;
    const token = (): string | Promise<string> => ((calls += 1) < 3 ? bad() : 'token-1');
    const { client, errors } = await opened({ token }, '');
    await expect(client.request('who')).resolves.toBe('ada');
    expect(errors).toMatchObject([{ code: 'TOKEN_FAILED' }, { code: 'TOKEN_FAILED' }]);
    expect(String(errors[0])).toContain(text);
  });

  it('are asked for again when token() does not answer', async () => {
    let calls = 0;
    const token = (): string | Promise<string> =>
      (calls += 1) < 2 ? new Promise<never>(() => undefined) : 'token-1';
    const { reached } = watched(base, { token, connectTimeoutMs: 2_000 });
    await expect(reached('waiting')).resolves.toMatchObject({ code: 1006 });
    await reached('open');
  });
});

describe('what is sent without a connection', () => {
  it('waits in order, within the bound of items, and what is dropped is told', async () => {
    const { client, reached, messages, dropped } = await opened({
      maxQueued: 2,
      firstDelayMs: 200,
    });
    proxy.isClosed = true;
    client.send('close', { code: 1006 });
    await reached('waiting');
    expect([1, 2, 3].map((data) => client.send('echo', data))).toEqual([
      'queued',
      'queued',
      'dropped',
    ]);
    expect(dropped).toEqual([{ event: 'echo', data: 3, reason: 'queue-full' }]);
    await expect(client.request('echo', 4)).rejects.toMatchObject({ code: 'QUEUE_FULL' });
    proxy.isClosed = false;
    await eventually(() => expect(echoes(messages)).toEqual([1, 2]));
  });

  it('waits within the bound of bytes', async () => {
    const { client, reached, dropped } = await opened({ maxQueuedBytes: 60 });
    client.send('close', { code: 4440 });
    await reached('waiting');
    proxy.isClosed = true;
    // 24 bytes each, and the euro sign has three.
    expect(client.send('echo', '€')).toBe('queued');
    expect(client.send('echo', '€€€€€€€€€€€€')).toBe('dropped');
    expect(client.send('echo', 'aaaaa')).toBe('queued');
    expect(dropped).toHaveLength(1);
    client.close();
    expect(dropped.slice(1)).toMatchObject([
      { data: '€', reason: 'closed' },
      { data: 'aaaaa', reason: 'closed' },
    ]);
  });

  it('waits on when the server refuses the client with a close code', async () => {
    const others = await Promise.all([1, 2, 3].map(() => opened()));
    const { client, messages, states, reached } = watched(`${base}?user=ada`);
    client.send('echo', 'kept');
    const reply = client.request('echo', 'asked', { timeoutMs: 240_000 });
    const change = await reached('waiting');
    expect(change).toMatchObject({ code: 4429 });
    expect(change.retryInMs).toBeGreaterThanOrEqual(5_000);
    expect(names(states)).toEqual(['open', 'waiting']);
    for (const other of others) other.client.close();
    await expect(reply).resolves.toBe('asked');
    expect(echoes(messages)).toEqual(['kept']);
    expect(seen.echoes).toEqual(['kept', 'asked']);
  });

  // A refusal has a reason of this shape too. These codes are not those of refusals.
  it.each([1001, 4000])(
    'is not sent again where %i ends the connection that had it',
    async (code) => {
      // Without `resume`, a connection gets no frame before the first reply.
      const plain = await startApp({
        providers: [LineGateway],
        options: { authenticator: authenticate as never },
      });
      const { client, states, reached } = watched(`ws://127.0.0.1:${plain.port}/line?user=ada`);
      await reached('open');
      client.send('nothing');
      client.send('close', { code, reason: '{"reason":"draining","retryAfterMs":40}' });
      await reached('open', 2);
      await client.request('echo', 'on');
      expect(seen.echoes).toEqual(['nothing', 'on']);
      expect(names(states)).toEqual(['open', 'waiting', 'connecting', 'open']);
      client.close();
      await plain.close();
    },
  );

  it('is given up with its request', async () => {
    const { client, reached } = await opened();
    client.send('close', { code: 4440 });
    await reached('waiting');
    const controller = new AbortController();
    const reply = client.request('echo', 'no more', { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(reply).rejects.toThrow('enough');
    await reached('open', 2);
    await client.request('nothing');
    expect(seen.echoes).toEqual(['nothing']);
  });
});

describe('after the line was cut', () => {
  it('the thread goes on where it was', async () => {
    const emitter = server.app.get(WebSocketEmitter);
    const { client, messages, gaps, reached } = await opened();
    const said = (): unknown[] => messages.filter(({ event }) => event === 'said');
    await client.request('nothing');
    emitter.toThread('ada', 'tea').send('said', 1);
    await eventually(() => expect(said()).toMatchObject([{ data: 1 }]));
    proxy.isClosed = true;
    proxy.cut();
    await reached('waiting');
    emitter.toThread('ada', 'tea').send('said', 2);
    proxy.isClosed = false;
    await eventually(() => expect(said()).toMatchObject([{ data: 1 }, { data: 2 }]));
    emitter.toThread('ada', 'tea').send('said', 3);
    await eventually(() => expect(said()).toHaveLength(3));
    expect(messages.filter(({ event }) => event === 'resume')).toMatchObject([
      { data: { status: 'live' } },
      { data: { status: 'recovered', missed: 1 } },
    ]);
    expect(gaps).toEqual([]);
  });

  it.each([
    ['waiting', 'what waits is sent when the client is in its topics again'],
    ['open', 'what is sent over the new connection waits until then, too'],
  ])('%s: %s', async (when) => {
    const { client } = await opened();
    const where: unknown[] = [];
    client.on('where', (data) => where.push(data));
    client.answer('still there?', () => true);
    let joined = 0;
    client.subscribe('room:late', () => undefined, { onSubscribed: () => (joined += 1) });
    await eventually(() => expect(joined).toBe(1));
    // The server decides later from now on.
    let decide: (() => void) | undefined;
    authorize = () => new Promise((resolve) => (decide = () => resolve(true)));
    const results: unknown[] = [];
    client.onState(({ state }) => {
      if (state === when) results.push(client.send('where'));
    });
    proxy.cut();
    await eventually(() => expect(decide).toBeDefined());
    // A round trip: whatever the client had sent by now, the server would have handled.
    const [manager] = server.app.get(WebSocketManagerFactory).managersOf('ada');
    await manager!.ask('still there?');
    expect(where).toEqual([]);
    decide!();
    await eventually(() => expect(where).toEqual([['room:late']]));
    expect(results).toEqual(['queued']);
    expect(client.send('where')).toBe('sent');
  });

  it('topics go on where they were', async () => {
    const emitter = server.app.get(WebSocketEmitter);
    const { client, gaps, reached } = await opened();
    const got: unknown[] = [];
    let joined = 0;
    client.subscribe('room:7', ({ data }) => got.push(data), { onSubscribed: () => (joined += 1) });
    await eventually(() => expect(joined).toBe(1));
    emitter.toTopic('room:7').send('said', 1);
    await eventually(() => expect(got).toEqual([1]));
    proxy.isClosed = true;
    proxy.cut();
    await reached('waiting');
    emitter.toTopic('room:7').send('said', 2);
    proxy.isClosed = false;
    await eventually(() => expect(got).toEqual([1, 2]));
    await eventually(() => expect(joined).toBe(2));
    expect(gaps).toEqual([]);
  });

  it('a gap is told when the server has lost the history', async () => {
    const { client, gaps, reached } = await opened();
    client.on('lost', () => undefined);
    const [manager] = server.app.get(WebSocketManagerFactory).managersOf('ada');
    manager!.send('resume', { status: 'gap' });
    await eventually(() => expect(gaps).toEqual([{}]));
    await reached('open');
  });

  it('a client whose line is dead finds out when a request has no reply', async () => {
    const { client, reached } = await opened({ probeTimeoutMs: 50 });
    await client.request('nothing');
    proxy.freeze();
    await expect(client.request('echo', 1, { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    await expect(reached('waiting')).resolves.toMatchObject({
      code: 1006,
      reason: 'no answer within 50 ms',
    });
    await reached('open', 2);
    await expect(client.request('echo', 2)).resolves.toBe(2);
    proxy.cut();
  });

  it('a client whose line is alive stays', async () => {
    const { client, states } = await opened();
    await expect(client.request('hang', 1, { timeoutMs: 20 })).rejects.toMatchObject({
      code: 'TIMEOUT',
    });
    await expect(client.request('echo', 2)).resolves.toBe(2);
    expect(names(states)).toEqual(['open']);
  });
});

describe('an identity that expires', () => {
  const renewals: unknown[] = [];
  let renewing: TestApp;

  class RenewingAuthenticator implements ConnectionAuthenticator {
    async authenticate(): Promise<ConnectionIdentity> {
      return { userId: 'ada', threadId: 'tea', expiresAt: Date.now() + 3_600_000 };
    }

    async renew(_context: UserExecutionContext, token: unknown): Promise<ConnectionIdentity> {
      renewals.push(token);
      if (token === 'bad') throw new HttpException('no', 503);
      return { userId: 'ada', threadId: 'tea', expiresAt: Date.now() + 86_400_000 };
    }
  }

  beforeAll(async () => {
    renewing = await startApp({
      providers: [LineGateway, RenewingAuthenticator],
      options: {
        authenticator: RenewingAuthenticator,
      },
    });
  });
  beforeEach(() => void renewals.splice(0));
  afterAll(() => renewing?.close());

  /** The notice that the server sends a minute before the end: see test/e2e/renewal.spec.ts. */
  async function expire({ client }: WatchedClient): Promise<void> {
    await client.request('nothing');
    const managers = renewing.app.get(WebSocketManagerFactory).managersOf('ada');
    managers.at(-1)!.send('expiring', { expiresAt: Date.now() + 60_000 });
  }

  it('is renewed with a new token, over the open connection', async () => {
    const reasons: string[] = [];
    const one = watched(renewing.url('/line').replace('http', 'ws'), {
      token: (reason) => `token-${reasons.push(reason)}`,
    });
    await expire(one);
    await eventually(() => expect(renewals).toEqual(['token-2']));
    await expect(one.client.request('who')).resolves.toBe('ada');
    expect(reasons).toEqual(['connect', 'expiring']);
    expect(names(one.states)).toEqual(['open']);
    expect(one.errors).toEqual([]);
  });

  it('is not renewed with the token that the server has', async () => {
    const reasons: string[] = [];
    const one = watched(renewing.url('/line').replace('http', 'ws'), {
      token: (reason) => {
        reasons.push(reason);
        return 'always-the-same';
      },
    });
    await expire(one);
    await eventually(() => expect(reasons).toEqual(['connect', 'expiring']));
    await expect(one.client.request('who')).resolves.toBe('ada');
    expect(renewals).toEqual([]);
  });

  it('stays what it is when it is not renewed, and that is reported', async () => {
    let calls = 0;
    const url = renewing.url('/line').replace('http', 'ws');
    const refused = watched(url, { token: () => ((calls += 1) < 2 ? 'good' : 'bad') });
    await expire(refused);
    await eventually(() => expect(refused.errors).toHaveLength(1));
    refused.client.close();
    const failed = watched(url, {
      token: (reason) => {
        if (reason === 'expiring') throw new Error('offline');
        return 'good';
      },
    });
    await expire(failed);
    await eventually(() => expect(failed.errors).toMatchObject([{ code: 'TOKEN_FAILED' }]));
    await expect(failed.client.request('who')).resolves.toBe('ada');
    expect(names(refused.states)).toEqual(['open', 'closed']);
  });
});
