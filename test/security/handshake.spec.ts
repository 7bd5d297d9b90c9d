import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

import { afterEach, describe, expect, it } from '@jest/globals';
import {
  ForbiddenException,
  HttpException,
  Inject,
  Injectable,
  Logger,
  type LoggerService,
  Scope,
} from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import {
  type AuthenticateFunction,
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  IsolatedGateway,
  IsolatedWsAdapter,
  LeakDetector,
  UserExecutionContext,
  type WebSocketIsolationOptions,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient, type UpgradeRefused } from 'nestjs-websocket-isolation/testing';
import { WebSocketServer } from 'ws';

import { HandshakeService } from '../../src/handshake/handshake.service.js';
import { GatewayRuntime } from '../../src/gateway/gateway-runtime.js';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/chat' })
class ChatGateway {
  constructor(readonly context: UserExecutionContext) {}
}

let testApp: TestApp | undefined;
afterEach(async () => {
  await testApp?.close();
  testApp = undefined;
});

async function start(
  options: WebSocketIsolationOptions = {},
  providers: never[] = [],
): Promise<TestApp> {
  testApp = await startApp({ providers: [ChatGateway, ...providers], options });
  return testApp;
}

const open = (query = '?user=ada', headers: Record<string, string> = {}): Promise<TestClient> =>
  TestClient.open(testApp!.url(`/chat${query}`), { headers });
const refusal = (attempt: Promise<unknown>): Promise<UpgradeRefused> =>
  attempt.then(
    () => Promise.reject(new Error('it was let in')),
    (error: UpgradeRefused) => error,
  );
/** Sends an upgrade request with some headers; the status it was answered with. */
async function ask(
  headers: Record<string, string | string[] | undefined>,
): Promise<number | undefined> {
  const raw = await answered(headers);
  return raw.status;
}
/** The subprotocol that was chosen among those offered. */
async function chosenProtocol(offered: string): Promise<string | undefined> {
  const raw = await answered({ 'Sec-WebSocket-Protocol': offered });
  expect(raw.status).toBe(101);
  return /Sec-WebSocket-Protocol: (.*)/.exec(raw.received)?.[1]?.trim();
}
async function answered(
  headers: Record<string, string | string[] | undefined>,
  target = '/chat?user=ada',
): Promise<RawSocket> {
  const raw = await RawSocket.open(testApp!.port);
  raw.write(upgradeRequest(target, headers));
  await eventually(() => expect(raw.status).toBeDefined());
  raw.destroy();
  return raw;
}
function lastOf(offered: Set<string>): string {
  return [...offered].at(-1)!;
}
function throwing(): never {
  throw new Error('planned');
}
const ledger = (): unknown => testApp!.app.get(LeakDetector).getReport().ledger;

describe('origins', () => {
  it('are the same as the host, exactly, by default', async () => {
    await start();
    const Host = 'app.example.com';
    expect(await ask({ Host, Origin: 'https://app.example.com' })).toBe(101);
    for (const Origin of [
      'https://app.example.com.evil.io',
      'https://evil.io/app.example.com',
      'https://app.example.com:8443',
      'https://app.example.com@evil.io',
      'https://APP.example.com.evil.io',
      'null',
      '',
      'app.example.com',
      'https://app.example.com, https://evil.io',
    ]) {
      expect([Origin, await ask({ Host, Origin })]).toEqual([Origin, 403]);
    }
    expect(await ask({ Host, Origin: ['https://evil.io', 'https://app.example.com'] })).toBe(403);
    expect(ledger()).toEqual({
      created: 1,
      active: expect.any(Number),
      disposed: expect.any(Number),
    });
    expect(testApp!.app.get(GatewayRuntime, { strict: false }).refusals.get('origin')).toBe(10);
  });

  it('are logged with what they were compared with, and what to do', async () => {
    const lines: string[] = [];
    const write = (...parts: unknown[]): void => void lines.push(parts.map(String).join(' '));
    await start();
    Logger.overrideLogger({ log: write, error: write, warn: write });
    try {
      await ask({ Host: 'inner:3000', Origin: 'https://app.example.com' });
      await ask({ Cookie: 'session=1' });
    } finally {
      Logger.overrideLogger(false);
    }
    expect(lines).toEqual([
      expect.stringMatching(
        /reason=origin .*The Origin is https:\/\/app\.example\.com, the Host inner:3000: let the proxy pass the Host on/,
      ),
      expect.stringContaining('cookies but no Origin: set handshake.allowMissingOrigin'),
    ]);
  });

  it('may be missing, but not when cookies are there', async () => {
    await start();
    expect(await ask({})).toBe(101);
    expect(await ask({ Cookie: 'session=1' })).toBe(403);
    expect(await ask({ Cookie: 'session=1', Origin: 'http://localhost' })).toBe(101);
  });

  it.each([
    [true, 101],
    [false, 403],
  ])('missing is %s by option: %s', async (allowMissingOrigin, status) => {
    await start({ handshake: { allowMissingOrigin } });
    expect(await ask({ Cookie: 'session=1' })).toBe(status);
    expect(await ask({})).toBe(status);
  });

  it('come from a list, exactly, or from a function', async () => {
    await start({ handshake: { allowedOrigins: ['https://a.example'] } });
    expect(await ask({ Origin: 'https://a.example' })).toBe(101);
    expect(await ask({ Origin: 'https://a.example.evil.io' })).toBe(403);
    expect(await ask({ Origin: 'http://a.example' })).toBe(403);
    await testApp!.close();
    await start({ handshake: { allowedOrigins: (origin) => origin === undefined } });
    expect(await ask({})).toBe(101);
    expect(await ask({ Origin: 'https://a.example' })).toBe(403);
  });

  it('are asked of a function that throws as of one that says no', async () => {
    await start({ handshake: { allowedOrigins: throwing } });
    expect(await ask({})).toBe(403);
  });
});

describe('authentication', () => {
  const cases: [name: string, authenticator: AuthenticateFunction, status: number, code: number][] =
    [
      ['null', () => null, 401, 4401],
      ['a rejected null', async () => null, 401, 4401],
      ['a Nest 403', () => Promise.reject(new ForbiddenException('secret')), 403, 4403],
      ['a Nest 429', () => Promise.reject(new HttpException('secret', 429)), 429, 4429],
      [
        'a sync throw',
        () => {
          throw new Error('secret');
        },
        500,
        1011,
      ],
      ['a rejection', () => Promise.reject(new Error('secret')), 500, 1011],
      ['a rejection with nothing', () => Promise.reject(undefined), 500, 1011],
      ['no answer', () => new Promise(() => undefined), 408, 4408],
      ['a placeholder id', () => ({ userId: 'default' }), 400, 1008],
      ['an id that is none', () => ({ userId: 7 }) as never, 400, 1008],
      ['a forged field', () => ({ userId: 'ada', metadata: { userId: 'eve' } }), 400, 1008],
      [
        'an identity that has ended',
        () => ({ userId: 'ada', expiresAt: Date.now() - 1 }),
        401,
        4401,
      ],
    ];

  it.each(cases)('%s is answered over HTTP', async (_name, authenticator, status) => {
    await start({ authenticator, handshake: { timeoutMs: 1_000 } });
    const refused = await refusal(open());
    expect(refused.status).toBe(status);
    expect(refused.headers['content-length']).toBe(String(Buffer.byteLength(refused.body)));
    expect(refused.headers['connection']).toBe('close');
    expect(refused.body).not.toContain('secret');
    expect(ledger()).toEqual({ created: 0, active: 0, disposed: 0 });
  });

  it.each(cases)(
    '%s is answered with a close code',
    async (_name, authenticator, _status, code) => {
      await start({ authenticator, handshake: { timeoutMs: 1_000, rejectWith: 'close' } });
      const client = await open();
      expect(await client.closed()).toBe(code);
      expect(client.closeReason).not.toContain('secret');
      expect(ledger()).toEqual({ created: 0, active: 0, disposed: 0 });
    },
  );

  it('goes through a provider, also a REQUEST-scoped one', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Scoped implements ConnectionAuthenticator {
      constructor(@Inject(REQUEST) readonly request: { url: string }) {}
      authenticate(): Promise<ConnectionIdentity | null> {
        return Promise.resolve({ userId: `scoped${this.request.url}` });
      }
    }
    testApp = await startApp({
      providers: [ChatGateway, Scoped],
      options: { authenticator: Scoped },
    });
    await open('?a=1');
    expect(testApp.app.get(WebSocketManagerFactory).managersOf('scoped/chat?a=1')).toHaveLength(1);
  });

  it('hears of the deadline by its signal, and what comes too late is given back', async () => {
    let aborted = false;
    let answer!: (identity: ConnectionIdentity) => void;
    const authenticator = (_request: unknown, signal: AbortSignal): Promise<ConnectionIdentity> => {
      signal.addEventListener('abort', () => (aborted = true));
      return new Promise((resolve) => (answer = resolve));
    };
    await start({ authenticator, handshake: { timeoutMs: 50 } });
    expect((await refusal(open())).status).toBe(408);
    expect(aborted).toBe(true);
    answer({ userId: 'ada' });
    await sleep(20);
    expect(ledger()).toEqual({ created: 0, active: 0, disposed: 0 });
  });

  it.each<[string, (given: unknown[]) => AuthenticateFunction]>([
    [
      'any number of parameters',
      (given) =>
        (...parameters) =>
          identified(given, parameters[1]),
    ],
    [
      'a default for it',
      (given) =>
        // oxlint-disable-next-line typescript/no-useless-default-assignment -- an app may write it
        (_request, signal = NONE) =>
          identified(given, signal),
    ],
    ['nothing, and reads them all', (given) => readsArguments(given)],
  ])('gets its signal whatever it declares: %s', async (_declared, make) => {
    const given: unknown[] = [];
    await start({ authenticator: make(given) });
    await open();
    expect(given).toEqual([expect.any(AbortSignal)]);
  });

  it('leaves no token in logs, errors, statistics or replies', async () => {
    const written: string[] = [];
    const write = (...parts: unknown[]): void => void written.push(parts.map(String).join(' '));
    const logger: LoggerService = {
      log: write,
      error: write,
      warn: write,
      debug: write,
      verbose: write,
    };
    const secret = 'tok3n-s3cret';
    await start({
      authenticator: () => {
        throw new Error('the token was bad');
      },
    });
    Logger.overrideLogger(logger);
    try {
      for (const attempt of [
        TestClient.open(testApp!.url(`/chat?token=${secret}`)),
        TestClient.open(testApp!.url('/chat'), { headers: { authorization: `Bearer ${secret}` } }),
        TestClient.open(testApp!.url('/chat'), {
          headers: { 'sec-websocket-protocol': `a, ${secret}` },
        }),
      ]) {
        const refused = await refusal(attempt);
        expect(JSON.stringify([refused.message, refused.headers, refused.body])).not.toContain(
          secret,
        );
      }
    } finally {
      Logger.overrideLogger(false);
    }
    expect(written.join('\n')).toContain('connection-refused');
    expect(written.join('\n')).not.toContain(secret);
    expect(JSON.stringify(testApp!.app.get(WebSocketManagerFactory).getStats())).not.toContain(
      secret,
    );
  });

  it('is logged with its cause where it fails, without the token in it', async () => {
    const written: string[] = [];
    const write = (...parts: unknown[]): void => void written.push(parts.map(String).join(' '));
    await start({
      handshake: { allowedOrigins: '*' },
      authenticator: (request) => {
        const { authorization, cookie } = request.headers;
        throw new TypeError(`cannot read ${request.url} or ${authorization} or ${cookie}`);
      },
    });
    Logger.overrideLogger({ log: write, error: write, warn: write });
    try {
      const headers = { authorization: 'Bearer he4der-token', cookie: 'a=1; sid=c00kie-token' };
      await refusal(open('?token=qu%65ry-token', headers));
    } finally {
      Logger.overrideLogger(false);
    }
    const log = written.join('\n');
    expect(log).toMatch(
      /connection-refused reason=auth-failed status=500.*TypeError: cannot read/s,
    );
    expect(log).toContain('handshake.spec.ts');
    for (const token of ['he4der-token', 'c00kie-token', 'query-token', 'qu%65ry-token']) {
      expect(log).not.toContain(token);
    }
  });

  it('never echoes a token offered as a subprotocol', async () => {
    await start();
    expect(await chosenProtocol('chat, eyJhbGciOi.payload')).toBe('chat');
    expect(await chosenProtocol('eyJhbGciOi.payload')).toBeUndefined();
    expect(await chosenProtocol(`${'x'.repeat(33)}, chat`)).toBe('chat');
    expect(await chosenProtocol('eyJhbGciOi.payload, chat')).toBe('chat');
    expect(await chosenProtocol('x'.repeat(33))).toBeUndefined();
  });

  it('answers a single subprotocol', async () => {
    await start();
    expect(await chosenProtocol('ocpp1.6')).toBe('ocpp1.6');
    expect(await chosenProtocol('graphql-transport-ws')).toBe('graphql-transport-ws');
  });

  it('takes for a credential what `handshake.credentialProtocols` says', async () => {
    await start({ handshake: { credentialProtocols: ['bearer.', 'csrf.'] } });
    expect(await chosenProtocol('bearer.abc, csrf.abc, chat, v2')).toBe('chat');
    expect(await chosenProtocol('bearer.abc')).toBeUndefined();
    expect(await chosenProtocol('eyJhbGciOi.payload')).toBe('eyJhbGciOi.payload');
  });

  it('leaves the answer to the `handleProtocols` of the app', async () => {
    testApp = await startApp({
      providers: [ChatGateway],
      prepare: (app) =>
        app.useWebSocketAdapter(new IsolatedWsAdapter(app, { handleProtocols: lastOf })),
    });
    expect(await chosenProtocol('chat, eyJhbGciOi.payload')).toBe('eyJhbGciOi.payload');
  });
});

describe('slots', () => {
  it('refuse the 21st with 429 and Retry-After, and let in again when one is free', async () => {
    await start();
    const clients = await Promise.all(Array.from({ length: 20 }, () => open()));
    const refused = await refusal(open());
    expect(refused.status).toBe(429);
    expect(refused.headers['retry-after']).toMatch(/^([5-9]|10)$/);
    expect(JSON.parse(refused.body)).toMatchObject({
      reason: 'user-limit',
      retryAfterMs: expect.any(Number),
    });
    await clients[0]!.close();
    await eventually(async () => (await open()).close());
  });

  it('refuse with 4429 and the reason where a browser asks', async () => {
    await start({ limits: { maxManagersPerUser: 1 }, handshake: { rejectWith: 'close' } });
    await open();
    const client = await open();
    expect(await client.closed()).toBe(4429);
    expect(JSON.parse(client.closeReason!)).toEqual({
      reason: 'user-limit',
      retryAfterMs: expect.any(Number),
    });
  });

  it('refuse with 503 when the process is full', async () => {
    await start({ limits: { maxManagers: 1 } });
    await open('?user=ada');
    const refused = await refusal(open('?user=bob'));
    expect([refused.status, refused.headers['retry-after']]).toEqual([
      503,
      expect.stringMatching(/^([5-9]|10)$/),
    ]);
  });

  it('are not taken by whoever is not authenticated', async () => {
    await start({ limits: { maxManagersPerUser: 1 } });
    await Promise.all(Array.from({ length: 30 }, () => refusal(open(''))));
    expect((await open()).closeCode).toBeUndefined();
  });
});

describe('pending handshakes', () => {
  it('are bounded in number, and pass in time', async () => {
    const waiting: (() => void)[] = [];
    const authenticator: AuthenticateFunction = (_request) =>
      new Promise((resolve) => waiting.push(() => resolve({ userId: 'ada' })));
    await start({ authenticator, handshake: { maxPending: 5 } });
    const attempts = Array.from({ length: 5 }, () => open());
    await eventually(() => expect(waiting.length).toBe(5));
    const refused = await refusal(open());
    expect([refused.status, refused.headers['retry-after']]).toEqual([
      503,
      expect.stringMatching(/^([5-9]|10)$/),
    ]);
    waiting.forEach((release) => release());
    await Promise.all(attempts);
    const last = open();
    await eventually(() => expect(waiting.length).toBe(6));
    waiting[5]!();
    await last;
  });
});

describe('malformed upgrades', () => {
  const requests: [name: string, request: string, statuses: number[]][] = [
    ['no key', upgradeRequest('/chat?user=ada', { 'Sec-WebSocket-Key': undefined }), [400]],
    ['a bad key', upgradeRequest('/chat?user=ada', { 'Sec-WebSocket-Key': 'short' }), [400]],
    [
      'another version',
      upgradeRequest('/chat?user=ada', { 'Sec-WebSocket-Version': '7' }),
      [400, 426],
    ],
    ['another protocol', upgradeRequest('/chat?user=ada', { Upgrade: 'h2c' }), [404]],
    ['a body', `${upgradeRequest('/chat?user=ada', { 'Content-Length': '5' })}hello`, [400]],
    [
      'a body in chunks',
      `${upgradeRequest('/chat?user=ada', { 'Transfer-Encoding': 'chunked' })}0\r\n\r\n`,
      [400],
    ],
    ['an empty body', upgradeRequest('/chat?user=ada', { 'Content-Length': '0' }), [101]],
    ['POST', upgradeRequest('/chat', {}, 'POST /chat?user=ada HTTP/1.1'), [405]],
    ['an absolute target', upgradeRequest('', {}, 'GET http://evil.example/chat HTTP/1.1'), [400]],
    ['two slashes', upgradeRequest('//chat?user=ada'), [400, 404]],
    ['another path', upgradeRequest('/chat/../secret?user=ada'), [404]],
    ['no path', upgradeRequest('*'), [400, 404]],
    ['a bad host', upgradeRequest('/chat?user=ada', { Host: '][' }), [101]],
    [
      'a long subprotocol',
      upgradeRequest('/chat?user=ada', { 'Sec-WebSocket-Protocol': 'a,'.repeat(5000) }),
      [400],
    ],
    ['the path, encoded', upgradeRequest('/%63hat?user=ada'), [101]],
  ];

  it.each(requests)('%s', async (_name, request, statuses) => {
    await start();
    const raw = await RawSocket.open(testApp!.port);
    raw.write(request);
    await eventually(() => expect(statuses).toContain(raw.status));
    raw.destroy();
    await eventually(() => expect(ledger()).toMatchObject({ active: 0 }));
    expect((await open()).closeCode).toBeUndefined();
  });
});

describe('an upgrade', () => {
  it('with 15,000 slashes is looked at in no time', async () => {
    await start();
    const target = `/x${'/'.repeat(15_000)}x`;
    const before = process.cpuUsage();
    for (let round = 0; round < 20; round += 1) {
      const raw = await RawSocket.open(testApp!.port);
      raw.write(upgradeRequest(target));
      await eventually(() => expect(raw.status).toBe(404));
      raw.destroy();
    }
    // A pattern that looks for the slashes at the end takes 150 ms each time.
    expect(process.cpuUsage(before).user / 1000).toBeLessThan(1_500);
  });

  it('with 2,000 headers, or headers of 20 KB, is refused by Node itself or served', async () => {
    await start();
    const many = Object.fromEntries(
      Array.from({ length: 2_000 }, (_, index) => [`x-${index}`, 'a']),
    );
    expect([101, 431]).toContain(await ask(many));
    expect(await ask({ 'x-long': 'a'.repeat(20_000) })).toBe(431);
  });

  it.each(['http', 'close'] as const)(
    'that the app’s own handleProtocols cannot bear is refused (%s), and leaves nothing',
    async (rejectWith) => {
      testApp = await startApp({
        providers: [ChatGateway],
        options: { handshake: { rejectWith } },
        prepare: (app) =>
          app.useWebSocketAdapter(new IsolatedWsAdapter(app, { handleProtocols: throwing })),
      });
      const protocol = { 'Sec-WebSocket-Protocol': 'chat' };
      expect(await ask(protocol)).toBe(500);
      expect((await answered(protocol, '/chat')).status).toBe(401);
      await eventually(() => expect(ledger()).toMatchObject({ created: 1, active: 0 }));
      expect((await open()).closeCode).toBeUndefined();
    },
  );

  it('that waits while the process begins to drain is refused with Retry-After', async () => {
    let isAsked = false;
    await start({
      authenticator: () => {
        isAsked = true;
        return new Promise(() => undefined);
      },
    });
    const refused = refusal(open());
    await eventually(() => expect(isAsked).toBe(true));
    await testApp!.close();
    const { status, headers } = await refused;
    expect([status, headers['retry-after']]).toEqual([503, expect.stringMatching(/^([5-9]|10)$/)]);
    testApp = undefined;
  });
});

describe('upgrades of other libraries on the same server', () => {
  it('are left alone', async () => {
    await start();
    const other = new WebSocketServer({ noServer: true });
    const httpServer = testApp!.app.getHttpServer() as ReturnType<typeof createServer>;
    httpServer.on('upgrade', (request, socket, head) => {
      if (request.url !== '/graphql') return;
      other.handleUpgrade(request, socket, head, (client) =>
        client.send('{"event":"other","data":1}'),
      );
    });
    const client = await TestClient.open(testApp!.url('/graphql'));
    expect((await client.next()).event).toBe('other');
    expect((await open()).closeCode).toBeUndefined();
    client.terminate();
    other.close();
  });
});

describe('a client that leaves while it waits', () => {
  it.each([
    ['hangs up', (raw: RawSocket) => raw.socket.end()],
    ['is cut', (raw: RawSocket) => raw.socket.resetAndDestroy()],
  ])('and %s, aborts its authentication at once', async (_name, leave) => {
    let signal: AbortSignal | undefined;
    const authenticator: AuthenticateFunction = (_request, given) => {
      signal = given;
      return new Promise(() => undefined);
    };
    await start({ authenticator });
    const raw = await RawSocket.open(testApp!.port);
    raw.write(upgradeRequest('/chat'));
    await eventually(() => expect(signal).toBeDefined());
    leave(raw);
    await eventually(() => expect(signal!.aborted).toBe(true));
    expect(testApp!.app.get(HandshakeService, { strict: false }).pending).toBe(0);
    expect(ledger()).toEqual({ created: 0, active: 0, disposed: 0 });
    await eventually(() => expect(raw.isClosed).toBe(true));
  });

  it('for a slot, leaves nothing behind', async () => {
    await start({
      limits: { maxManagersPerUser: 1 },
      cleanup: { probeTimeoutMs: 5_000 },
      handshake: { timeoutMs: 1_000 },
    });
    const zombie = await open();
    zombie.socket.pause();
    zombie.socket.pong = () => undefined;
    // It waits for the probe of the zombie, and its own time is up before.
    expect((await refusal(open())).status).toBe(408);
    await eventually(() => expect(ledger()).toMatchObject({ active: 0 }));
  });
});

const NONE = new AbortController().signal;

function identified(given: unknown[], signal: unknown): ConnectionIdentity {
  given.push(signal === NONE ? 'none' : signal);
  return { userId: 'ada' };
}

function readsArguments(given: unknown[]): AuthenticateFunction {
  return function authenticate() {
    return identified(given, arguments[1]);
  };
}
