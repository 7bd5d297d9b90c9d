import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Inject, type INestApplication, Injectable, Scope } from '@nestjs/common';
import { REQUEST } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import {
  ConnectionRequest,
  type HandshakeRequest,
  IsolatedGateway,
  IsolationEventBus,
  UserExecutionContext,
} from 'nestjs-websocket-isolation';
import { TestClient, type UpgradeRefused } from 'nestjs-websocket-isolation/testing';

import { freePort } from '../parity/run-scenario.js';
import { startApp, type TestApp, type TestAppSetup } from '../support/test-app.js';

/** What code of the app has seen of the requests, in order. */
const seen: [where: string, params: unknown][] = [];

const authenticator = (request: HandshakeRequest): { userId: string } => {
  seen.push(['authenticator', { ...request.params }]);
  return { userId: 'ada' };
};

const apps: TestApp[] = [];
afterEach(async () => {
  for (const app of apps.splice(0)) await app[Symbol.asyncDispose]();
  seen.length = 0;
});

async function start(setup: TestAppSetup): Promise<TestApp> {
  const app = await startApp({ ...setup, options: { authenticator, ...setup.options } });
  apps.push(app);
  return app;
}

/** Returns a gateway that replies with its name, its path and its parameters. */
function gatewayAt(name: string, decorator: ClassDecorator): new (request: never) => object {
  class Gateway {
    constructor(@Inject(REQUEST) private readonly request: ConnectionRequest) {}
    @SubscribeMessage('where') where(): unknown {
      const { path, params } = this.request;
      return { event: 'here', data: { name, path, params } };
    }
  }
  Object.defineProperty(Gateway, 'name', { value: name });
  decorator(Gateway);
  return Gateway;
}

function replierAt(name: string, decorator: ClassDecorator): new () => object {
  class Gateway {
    @SubscribeMessage('where') where(): unknown {
      return { event: 'here', data: { name } };
    }
  }
  Object.defineProperty(Gateway, 'name', { value: name });
  decorator(Gateway);
  return Gateway;
}

async function replyAt(app: TestApp, path: string): Promise<unknown> {
  const client = await app.connect(path);
  const { data } = await client.ask('where');
  await client.close();
  return data;
}

async function statusAt(app: TestApp, path: string): Promise<number> {
  const refused = await app.connect(path).catch((error: unknown) => error as UpgradeRefused);
  return (refused as UpgradeRefused).status;
}

const here = (value: string): object => ({
  name: 'Room',
  path: '/room/:room',
  params: { room: value },
});

const room = gatewayAt('Room', IsolatedGateway({ path: '/room/:room' }));

describe('a gateway whose path has parameters', () => {
  it.each([
    ['Express', undefined],
    ['Fastify', () => new FastifyAdapter()],
  ])('gets them on %s, with a global prefix for controllers', async (_name, adapter) => {
    const app = await start({
      providers: [room],
      ...(adapter && { adapter: adapter() }),
      prepare: (made: INestApplication) => void made.setGlobalPrefix('api'),
    });
    expect(await replyAt(app, '/room/42')).toEqual(here('42'));
    expect(await replyAt(app, '/room/42/?room=7')).toEqual(here('42'));
    expect(await replyAt(app, '//room/42'.slice(1))).toEqual(here('42'));
    expect(await replyAt(app, '/room/%C3%A4%2Fb%20c')).toEqual(here('ä/b c'));
    expect(await replyAt(app, '/x/../room/:room')).toEqual(here(':room'));
    expect(await replyAt(app, '/room/__proto__')).toEqual(here('__proto__'));
    for (const path of ['/room', '/room/', '/room//', '/room/a/b', '/api/room/42', '/']) {
      expect([path, await statusAt(app, path)]).toEqual([path, 404]);
    }
  });

  it('has them before the authenticator runs, and where Nest passes the request on', async () => {
    @IsolatedGateway({
      path: '/:tenant/room/:room',
      verifyClient: ({ req }: { req: HandshakeRequest }) => {
        seen.push(['verifyClient', { ...req.params }]);
        return true;
      },
    })
    class TwoParameters {
      handleConnection(_client: unknown, request: HandshakeRequest): void {
        seen.push(['handleConnection', { ...request.params }]);
      }
    }
    const app = await start({ providers: [TwoParameters] });
    const client = await app.connect('/acme/room/7');
    await client.close();
    const params = { tenant: 'acme', room: '7' };
    expect(seen).toEqual([
      ['verifyClient', params],
      ['authenticator', params],
      ['handleConnection', params],
    ]);
  });

  it('keeps the parameters of its connections apart', async () => {
    const app = await start({ providers: [room] });
    const clients = await Promise.all(
      Array.from({ length: 20 }, (_, index) => app.connect(`/room/r${index}`)),
    );
    const replies = await Promise.all(clients.map((client) => client.ask('where')));
    expect(replies.map(({ data }) => (data as { params: { room: string } }).params.room)).toEqual(
      clients.map((_, index) => `r${index}`),
    );
  });

  it('shares a connection with the gateways of the same path, plain ones included', async () => {
    const app = await start({
      providers: [
        replierAt('Plain', WebSocketGateway({ path: 'room/:room/' })),
        room,
        replierAt('Second', IsolatedGateway({ path: 'room/:room' })),
      ],
    });
    const client = await app.connect('/room/42');
    client.send('where');
    const names = [];
    for (let count = 0; count < 3; count += 1) {
      const { data } = await client.next('here');
      names.push((data as { name: string }).name);
    }
    expect(names.toSorted()).toEqual(['Plain', 'Room', 'Second']);
  });

  it('comes after gateways with a literal path, plain ones included', async () => {
    const app = await start({
      providers: [
        room,
        gatewayAt('Lobby', IsolatedGateway({ path: '/room/lobby' })),
        replierAt('Plain', WebSocketGateway({ path: '/room/plain' })),
        gatewayAt('Seats', IsolatedGateway({ path: '/room/:room/seats' })),
        gatewayAt('Any', IsolatedGateway({ path: '/:a/:b/:c' })),
      ],
    });
    const nameAt = async (path: string): Promise<string> =>
      ((await replyAt(app, path)) as { name: string }).name;
    expect(await nameAt('/room/lobby')).toBe('Lobby');
    expect(await nameAt('/room/plain')).toBe('Plain');
    expect(await nameAt('/room/lobb')).toBe('Room');
    expect(await nameAt('/room/7/seats')).toBe('Seats');
    expect(await nameAt('/room/7/chairs')).toBe('Any');
  });

  it('can have a port of its own, beside a gateway that takes every other path', async () => {
    const port = await freePort();
    const app = await start({
      providers: [
        gatewayAt('Every', IsolatedGateway(port)),
        gatewayAt('Own', IsolatedGateway(port, { path: '/room/:id' })),
        // The same shape on another port is another gateway.
        room,
      ],
    });
    const at = async (path: string): Promise<unknown> => {
      const client = await TestClient.open(`ws://127.0.0.1:${port}${path}`);
      const { data } = await client.ask('where');
      await client.close();
      return data;
    };
    expect(await at('/room/7')).toMatchObject({ name: 'Own', params: { id: '7' } });
    expect(await at('/room')).toMatchObject({ name: 'Every', params: {} });
    expect(await replyAt(app, '/room/7')).toMatchObject({ name: 'Room', params: { room: '7' } });
  });
});

describe('a plain gateway whose path has a colon', () => {
  it('is found by that text alone, as on the adapter of Nest', async () => {
    const app = await start({
      providers: [replierAt('Plain', WebSocketGateway({ path: '/room/:id' })), room],
    });
    expect(await replyAt(app, '/room/:id')).toEqual({ name: 'Plain' });
    expect(await replyAt(app, '/room/7')).toMatchObject({ name: 'Room' });
  });
});

describe('a gateway with a literal path', () => {
  it('has no parameters, and its authenticator need not ask whether there are any', async () => {
    const app = await start({ providers: [gatewayAt('Chat', IsolatedGateway({ path: '/chat' }))] });
    expect(await replyAt(app, '/chat')).toEqual({ name: 'Chat', path: '/chat', params: {} });
    expect(seen).toEqual([['authenticator', {}]]);
  });
});

describe('an authenticator of HTTP requests', () => {
  @Injectable({ scope: Scope.REQUEST })
  class Who {
    constructor(readonly context: UserExecutionContext) {}
  }
  @Controller('items')
  class Items {
    constructor(private readonly who: Who) {}
    @Get(':item') item(): string {
      return this.who.context.userId;
    }
  }
  it.each([
    ['Express', undefined],
    ['Fastify', () => new FastifyAdapter()],
  ])('gets the parameters of the route on %s', async (_name, adapter) => {
    const app = await start({
      providers: [Who],
      controllers: [Items],
      ...(adapter && { adapter: adapter() }),
    });
    const response = await fetch(`http://127.0.0.1:${app.port}/items/7`);
    expect(await response.text()).toBe('ada');
    expect(seen).toEqual([['authenticator', { item: '7' }]]);
  });
});

describe('a path that cannot be decoded', () => {
  const bad = ['/room/%zz', '/room/%C3%28', `/room/${'a'.repeat(257)}`];

  it('is refused with 400, counted and told, before the authenticator is asked', async () => {
    const app = await start({ providers: [room] });
    const refused: unknown[] = [];
    app.app.get(IsolationEventBus).on('connection-refused', ({ reason, path, error }) => {
      refused.push([reason, path, (error as { code: string }).code]);
    });
    for (const path of bad) {
      const error = await app.connect(path).catch((failure: unknown) => failure as UpgradeRefused);
      expect(error).toMatchObject({ status: 400 });
      expect(JSON.parse((error as UpgradeRefused).body)).toEqual({
        statusCode: 400,
        message: 'Bad Request',
        reason: 'invalid-path',
      });
    }
    expect(refused).toEqual(bad.map(() => ['invalid-path', '/room/:room', 'INVALID_PATH']));
    expect(seen).toEqual([]);
    expect(await replyAt(app, `/room/${'a'.repeat(256)}`)).toMatchObject({ name: 'Room' });
  });

  it('is closed with 1008 where browsers have to see it', async () => {
    const app = await start({
      providers: [room],
      options: { handshake: { rejectWith: 'close' } },
    });
    const client = await app.connect(bad[0]!);
    expect(await client.closed()).toBe(1008);
    expect(client.closeReason).toBe('{"reason":"invalid-path"}');
  });
});

describe('gateways that a client could confuse', () => {
  it.each([
    ['/room/:room', '/room/:id', '/room/x'],
    ['/room/:room', 'room/:Room/', '/room/x'],
    ['/room/:room', '/:kind/lobby', '/room/lobby'],
    ['/:a/b/:c', '/x/:b/:c', '/x/b/x'],
  ])('stop the boot: %s and %s', async (left, right, meeting) => {
    const failing = start({
      providers: [
        gatewayAt('Left', IsolatedGateway({ path: left })),
        gatewayAt('Right', IsolatedGateway({ path: right })),
      ],
    });
    await expect(failing).rejects.toMatchObject({ code: 'PATH_AMBIGUOUS' });
    await expect(failing).rejects.toThrow(`'${meeting}'`);
    await expect(failing).rejects.toThrow(`Left has the path '${left}' and Right`);
  });

  it.each([
    ['/room/:room', '/room/lobby'],
    ['/room/:room', '/:kind/:name'],
    ['/room/:room', '/:kind/lobby/:seat'],
    ['/a/:x/c', '/:y/b/d'],
  ])('start if one is the more literal: %s and %s', async (left, right) => {
    const app = await start({
      providers: [
        gatewayAt('Left', IsolatedGateway({ path: left })),
        gatewayAt('Right', IsolatedGateway({ path: right })),
      ],
    });
    expect(await statusAt(app, '/')).toBe(404);
  });
});
