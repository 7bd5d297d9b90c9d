import { once } from 'node:events';
import { createServer } from 'node:http';
import { connect } from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';
import { type INestApplication, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import {
  IsolatedGateway,
  IsolatedWsAdapter,
  WebSocketIsolationModule,
} from 'nestjs-websocket-isolation';
import { TestClient, type UpgradeRefused } from 'nestjs-websocket-isolation/testing';
import { WebSocket, type WebSocketServer } from 'ws';

import { canonicalPath, requestPath } from '../../src/upgrade/upgrade-path.js';
import { freePort } from '../parity/run-scenario.js';

type Decorate = (port: number, options: object) => ClassDecorator;

const forms: [name: string, decorate: Decorate][] = [
  ['an isolated', (port, options) => IsolatedGateway(port, options)],
  ['a plain', (port, options) => WebSocketGateway(port, options)],
];

/** Returns a gateway that replies with its name, and stores its server. */
function gatewayNamed(
  name: string,
  decorator: ClassDecorator,
): Type & { server: WebSocketServer | undefined } {
  class Gateway {
    static server: WebSocketServer | undefined;
    afterInit(server: WebSocketServer): void {
      Gateway.server = server;
    }
    // Each gateway has its own event, because gateways on the same path get all messages.
    @SubscribeMessage(`who is ${name}`) who(): unknown {
      return { event: 'i am', data: name };
    }
  }
  Object.defineProperty(Gateway, 'name', { value: name });
  decorator(Gateway);
  return Gateway;
}

const warnings: string[] = [];
const logger = {
  log: (): void => undefined,
  error: (): void => undefined,
  warn: (message: unknown): void => void warnings.push(String(message)),
};

const apps: INestApplication[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close();
  warnings.length = 0;
});

async function start(
  providers: Type[],
  prepare?: (app: INestApplication) => void,
): Promise<(path: string) => string> {
  @Module({ imports: [WebSocketIsolationModule.forRoot()], providers })
  class Root {}
  const app = await NestFactory.create(Root, { logger, abortOnError: false });
  prepare?.(app);
  apps.push(app);
  await app.listen(0, '127.0.0.1');
  const { port } = (app.getHttpServer() as { address(): { port: number } }).address();
  return (path) => `ws://127.0.0.1:${port}${path}`;
}

async function answerAt(url: string, name: string): Promise<unknown> {
  const client = await TestClient.open(url);
  const { data } = await client.ask(`who is ${name}`);
  await client.close();
  return data;
}

const isRefused = (port: number, host: string): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => {
      socket.destroy();
      resolve(false);
    });
    socket.once('error', () => resolve(true));
  });

// A server accepts connections at this address only if it listens on `::` or `0.0.0.0`.
const ELSEWHERE = '127.0.0.2';

describe.each(forms)('%s gateway on a port of its own', (_name, decorate) => {
  it.each([[undefined], ['/chat']])('listens on its host only (path %s)', async (path) => {
    const port = await freePort();
    await start([gatewayNamed('Chat', decorate(port, { host: '127.0.0.1', path }))]);
    expect(await answerAt(`ws://127.0.0.1:${port}${path ?? '/any'}`, 'Chat')).toBe('Chat');
    expect(await isRefused(port, ELSEWHERE)).toBe(true);
  });

  it('listens on all interfaces without a host', async () => {
    const port = await freePort();
    await start([gatewayNamed('Chat', decorate(port, {}))]);
    expect(await isRefused(port, ELSEWHERE)).toBe(false);
  });

  it('knows its address, and passes its `backlog` on', async () => {
    const port = await freePort();
    const Chat = gatewayNamed('Chat', decorate(port, { host: '127.0.0.1', backlog: 7 }));
    await start([Chat]);
    expect(Chat.server!.address()).toMatchObject({ port, address: '127.0.0.1' });
    expect(Chat.server!.options).toMatchObject({ backlog: 7 });
  });

  it('does not start with mutually exclusive options', async () => {
    const port = await freePort();
    await expect(start([gatewayNamed('A', decorate(port, { noServer: true }))])).rejects.toThrow(
      'One and only one of the "port", "server", or "noServer" options',
    );
    await expect(start([gatewayNamed('B', decorate(0, { port }))])).rejects.toThrow(
      'One and only one of the "port", "server", or "noServer" options',
    );
  });
});

describe.each(forms)('%s gateway that cannot listen on its own port', (_name, decorate) => {
  it.each([['/chat'], [undefined]])('stops the boot, with path %s', async (path) => {
    const taken = createServer().listen(0);
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const gateway = gatewayNamed('Chat', decorate(port, { path }));
    await expect(start([gateway])).rejects.toMatchObject({
      code: 'PORT_UNAVAILABLE',
      message: expect.stringMatching(`port ${port} of its own .*EADDRINUSE.*another port`),
    });
    await new Promise((resolve) => taken.close(resolve));
  });

  it('stops the boot if the machine has no such host', async () => {
    // An address reserved for documentation, which no machine has.
    const options = { path: '/chat', host: '192.0.2.1' };
    const gateway = gatewayNamed('Chat', decorate(await freePort(), options));
    await expect(start([gateway])).rejects.toMatchObject({
      code: 'PORT_UNAVAILABLE',
      message: expect.stringMatching(/of host '192\.0\.2\.1' of its own .*EADDRNOTAVAIL/),
    });
  });
});

describe('gateways on the same port', () => {
  it('stop the boot if they name different hosts, and the error names the hosts', async () => {
    const port = await freePort();
    const gateways = [
      gatewayNamed('Chat', IsolatedGateway(port, { path: '/chat' })),
      gatewayNamed('Feed', WebSocketGateway(port, { path: '/feed', host: '127.0.0.1' } as object)),
    ];
    await expect(start(gateways)).rejects.toMatchObject({
      code: 'GATEWAY_HOSTS_DIFFER',
      message: expect.stringMatching(
        /Chat and Feed share port .* Chat listens on all interfaces and Feed on host '127\.0\.0\.1'/,
      ),
    });
    expect(await isRefused(port, '127.0.0.1')).toBe(true);
  });

  it('cause a warning if only one of them has an option of their shared server', async () => {
    await start([
      gatewayNamed('Chat', IsolatedGateway({ path: '/chat' })),
      gatewayNamed('Small', IsolatedGateway({ path: 'chat/', maxPayload: 10 })),
    ]);
    expect(warnings).toContainEqual(
      expect.stringMatching(/Chat and Small share one WebSocket server.*: maxPayload\./),
    );
  });
});

describe('two gateways with equivalent paths', () => {
  const pairs: [string | undefined, string | undefined][] = [
    ['/chat', 'chat'],
    ['/chat', '/chat/'],
    ['/chat', '//chat'],
    ['/chat', '/%63hat'],
    ['/chat', '/x/../chat'],
    ['/ch%c3%a4t', 'chät'],
    [undefined, '/'],
    ['', '//'],
  ];
  const mixes: [string, Decorate, Decorate][] = [
    ['both isolated', forms[0]![1], forms[0]![1]],
    ['isolated and plain', forms[0]![1], forms[1]![1]],
    ['plain and isolated', forms[1]![1], forms[0]![1]],
    ['both plain', forms[1]![1], forms[1]![1]],
  ];
  const cases = mixes.flatMap(([mix, first, second]) =>
    pairs.map(([left, right]) => ({ mix, first, second, left, right })),
  );

  it.each(cases)('both reply: $left and $right, $mix', async ({ first, second, left, right }) => {
    const url = await start([
      gatewayNamed('Left', first(0, { path: left })),
      gatewayNamed('Right', second(0, { path: right })),
    ]);
    const path = canonicalPath(left);
    for (const name of ['Left', 'Right']) {
      expect(await answerAt(url(path), name)).toBe(name);
    }
  });

  it('all reply on their own port, where one of them takes every other path', async () => {
    const port = await freePort();
    await start([
      gatewayNamed('Every', IsolatedGateway(port)),
      gatewayNamed('Root', WebSocketGateway(port, { path: '/' })),
      gatewayNamed('Chat', IsolatedGateway(port, { path: 'chat' })),
    ]);
    expect(await answerAt(`ws://127.0.0.1:${port}/`, 'Root')).toBe('Root');
    expect(await answerAt(`ws://127.0.0.1:${port}/chat/?a=b`, 'Chat')).toBe('Chat');
    expect(await answerAt(`ws://127.0.0.1:${port}/other`, 'Every')).toBe('Every');
  });

  it('are different gateways if only the case of their paths differs', async () => {
    const url = await start([
      gatewayNamed('Upper', IsolatedGateway({ path: '/Chat' })),
      gatewayNamed('Lower', WebSocketGateway({ path: '/chat' })),
    ]);
    expect(await answerAt(url('/Chat'), 'Upper')).toBe('Upper');
    expect(await answerAt(url('/chat'), 'Lower')).toBe('Lower');
  });
});

describe('the canonical form of a path', () => {
  it.each([
    ['/a%2Fb', '/a%2Fb'],
    ['/a%2fb', '/a%2Fb'],
    ['/%7Euser', '/~user'],
    ['/a/./b/../c', '/a/c'],
    ['/a/%2e%2e/b', '/b'],
    ['/../..//a', '/a'],
    ['/a\\b', '/a/b'],
    ['/\\evil.example/chat', '/evil.example/chat'],
    ['/%', '/%'],
    ['/%zz', '/%zz'],
    ['/.well-known/ws', '/.well-known/ws'],
    ['/chat..', '/chat..'],
  ])('of %s is %s', (path, canonical) => {
    expect(requestPath(`${path}?q=/x`)).toBe(canonical);
    expect(canonicalPath(path)).toBe(canonical);
    // The canonical form must be stable, or registration and lookup would use different paths.
    expect(canonicalPath(canonical)).toBe(canonical);
  });

  it.each([['//chat'], ['*'], ['http://evil.example/chat'], ['chat'], [undefined]])(
    'does not exist for the request target %s',
    (target) => expect(requestPath(target)).toBeUndefined(),
  );
});

describe('an HTTP server that two applications share', () => {
  it('routes paths to the right application, and refuses unknown paths', async () => {
    const shared = createServer();
    await new Promise<void>((resolve) => void shared.listen(0, '127.0.0.1', resolve));
    const adapted = (app: INestApplication): void => {
      app.useWebSocketAdapter(new IsolatedWsAdapter(shared));
    };
    await start([gatewayNamed('One', IsolatedGateway({ path: '/one' }))], adapted);
    await start([gatewayNamed('Two', WebSocketGateway({ path: '/two' }))], adapted);
    await start([gatewayNamed('Three', IsolatedGateway({ path: '/two' }))], adapted);
    const { port } = shared.address() as { port: number };
    expect(await answerAt(`ws://127.0.0.1:${port}/one`, 'One')).toBe('One');
    expect(await answerAt(`ws://127.0.0.1:${port}/two`, 'Two')).toBe('Two');
    const unknown = await TestClient.open(`ws://127.0.0.1:${port}/three`).catch(
      (error: unknown) => error as UpgradeRefused,
    );
    expect(unknown).toMatchObject({ status: 404 });
    for (const app of apps.splice(0)) await app.close();
    // The server outlives the apps, so they must leave no listeners on it.
    expect(shared.listenerCount('upgrade')).toBe(0);
    await new Promise((resolve) => shared.close(resolve));
  });
});

describe('options of the `ws` server', () => {
  class OwnSocket extends WebSocket {}
  const given = {
    WebSocket: OwnSocket,
    allowSynchronousEvents: false,
    autoPong: false,
    clientTracking: false,
    closeTimeout: 1_234,
    handleProtocols: () => 'chosen',
    maxBufferedChunks: 99,
    maxFragments: 77,
    maxPayload: 55,
    maxPendingAutoPongs: 3,
    perMessageDeflate: { threshold: 5 },
    skipUTF8Validation: true,
  };

  it.each(forms)('of %s gateway all reach the server', async (_name, decorate) => {
    const Chat = gatewayNamed('Chat', decorate(0, { path: '/chat', ...given }));
    await start([Chat]);
    const { WebSocket: Used, ...options } = Chat.server!.options as typeof given;
    const { WebSocket: _own, ...rest } = given;
    expect(options).toMatchObject(rest);
    expect(new Used(null as never, undefined, {}) instanceof OwnSocket).toBe(true);
    expect(Chat.server!.clients).toBeUndefined();
  });
});
