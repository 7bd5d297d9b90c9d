import type { Server } from 'node:http';
import type { Socket } from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';
import {
  type INestApplicationContext,
  Injectable,
  Module,
  type ModuleMetadata,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  UserExecutionContext,
  WebSocketIsolationModule,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient, type UpgradeRefused } from 'nestjs-websocket-isolation/testing';

import { freePort } from '../parity/run-scenario.js';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { queryAuthenticator } from '../support/test-app.js';

/** A fake transport that records when Nest closes it. */
class NoTransport {
  listen(done: () => void): void {
    done();
  }
  close(): void {
    story.push('transport closed');
  }
}

/** A kind of application, and how it is created and started. */
interface Kind {
  readonly name: string;
  readonly start: (root: Type) => Promise<INestApplicationContext>;
}

const quiet = { logger: false, abortOnError: false } as const;
const http = (name: string, adapter?: () => FastifyAdapter): Kind => ({
  name,
  async start(root) {
    const app = adapter
      ? await NestFactory.create(root, adapter(), quiet)
      : await NestFactory.create(root, quiet);
    await started(app, () => app.listen(0, '127.0.0.1'));
    return app;
  },
});
const kinds: Kind[] = [
  http('an HTTP application on Express'),
  http('an HTTP application on Fastify', () => new FastifyAdapter()),
  {
    name: 'an HTTP application that never listens',
    async start(root) {
      const app = await NestFactory.create(root, quiet);
      return started(app, () => app.init());
    },
  },
  {
    name: 'a hybrid application',
    async start(root) {
      const app = await NestFactory.create(root, quiet);
      app.connectMicroservice({ strategy: new NoTransport() });
      await app.startAllMicroservices();
      return started(app, () => app.listen(0, '127.0.0.1'));
    },
  },
  {
    name: 'a microservice',
    async start(root) {
      const app = await NestFactory.createMicroservice(root, {
        strategy: new NoTransport(),
        ...quiet,
      } as object);
      return started(app, () => app.listen());
    },
  },
  {
    name: 'a microservice that is initialised first',
    async start(root) {
      const app = await NestFactory.createMicroservice(root, {
        strategy: new NoTransport(),
        ...quiet,
      } as object);
      await started(app, () => app.init());
      await app.listen();
      return app;
    },
  },
];

let opened: INestApplicationContext | undefined;
// Stored before the start, so that a test can access the app while it starts.
async function started(
  app: INestApplicationContext,
  start: () => Promise<unknown>,
): Promise<INestApplicationContext> {
  opened = app;
  await start();
  return app;
}
afterEach(async () => {
  await opened?.close();
  opened = undefined;
  story.length = 0;
});

const story: string[] = [];

function rootWith(metadata: ModuleMetadata): Type {
  @Module({
    ...metadata,
    imports: [WebSocketIsolationModule.forRoot({ authenticator: queryAuthenticator })],
  })
  class Root {}
  return Root;
}

/** Returns a gateway on its own port whose disposer ends when `release` is called. */
function slowlyDisposed(port: number): { gateway: Type; release: () => void } {
  let release!: () => void;
  const released = new Promise<void>((resolve) => (release = resolve));
  @IsolatedGateway(port, { host: '127.0.0.1', path: '/own' } as object)
  class OwnPort {
    @SubscribeMessage('hold') hold(@CurrentManager() manager: WebSocketManager): unknown {
      manager.onDispose(async () => {
        story.push('disposer begins');
        await released;
        story.push('disposer ends');
      });
      return { event: 'held' };
    }
  }
  return { gateway: OwnPort, release };
}

@Injectable()
class Pool implements OnModuleDestroy {
  onModuleDestroy(): void {
    story.push('pool closed');
  }
}

const refusalAt = (url: string): Promise<UpgradeRefused | undefined> =>
  TestClient.open(url).then(
    () => undefined,
    (error: unknown) => error as UpgradeRefused,
  );

describe.each(kinds)('$name', ({ start }) => {
  it('drains with 1001, and disposes before the pool of the app is closed', async () => {
    const port = await freePort();
    const { gateway, release } = slowlyDisposed(port);
    const app = await start(rootWith({ providers: [gateway, Pool] }));
    const client = await TestClient.open(`ws://127.0.0.1:${port}/own?user=ada`);
    expect(await client.ask('hold')).toEqual({ event: 'held' });
    const closing = app.close();
    expect(await client.closed()).toBe(1001);
    await eventually(() => expect(story).toContain('disposer begins'));
    const refused = await refusalAt(`ws://127.0.0.1:${port}/own?user=late`);
    expect([refused?.status, refused?.headers['retry-after']]).toEqual([
      503,
      expect.stringMatching(/^([5-9]|10)$/),
    ]);
    release();
    await closing;
    expect(story.filter((line) => line !== 'transport closed')).toEqual([
      'disposer begins',
      'disposer ends',
      'pool closed',
    ]);
    await expect(TestClient.open(`ws://127.0.0.1:${port}/own?user=ada`)).rejects.toThrow(
      'ECONNREFUSED',
    );
  });

  it('ends by a signal like by close()', async () => {
    const port = await freePort();
    const { gateway, release } = slowlyDisposed(port);
    release();
    const app = await start(rootWith({ providers: [gateway, Pool] }));
    const client = await TestClient.open(`ws://127.0.0.1:${port}/own?user=ada`);
    await client.ask('hold');
    // The method that a signal calls after `enableShutdownHooks()`.
    await (app as unknown as { shutdown(signal: string): Promise<void> }).shutdown('SIGTERM');
    expect(await client.closed()).toBe(1001);
    expect(story.filter((line) => line !== 'transport closed')).toEqual([
      'disposer begins',
      'disposer ends',
      'pool closed',
    ]);
  });
});

// The last kind is left out: a microservice that is initialised first does not listen before its hooks have completed.
describe.each(kinds.slice(0, -1))('$name that starts', ({ start }) => {
  it.each(['onModuleInit', 'onApplicationBootstrap'] as const)(
    'refuses with 503 and Retry-After while %s of a provider is running',
    async (hook) => {
      const port = await freePort();
      const { gateway, release } = slowlyDisposed(port);
      release();
      let ready!: () => void;
      const prepared = new Promise<void>((resolve) => (ready = resolve));
      @Injectable()
      class Slow implements OnModuleInit, OnApplicationBootstrap {
        onModuleInit(): Promise<void> | undefined {
          return hook === 'onModuleInit' ? prepared : undefined;
        }
        onApplicationBootstrap(): Promise<void> | undefined {
          return hook === 'onApplicationBootstrap' ? prepared : undefined;
        }
      }
      // Hooks of the root module and of an imported module must complete before the first connection.
      @Module({ providers: [Slow] })
      class Below {}
      const Root = rootWith({ providers: [gateway, Slow] });
      const imports = Reflect.getMetadata('imports', Root) as unknown[];
      Reflect.defineMetadata('imports', [...imports, Below], Root);
      const starting = start(Root);
      const url = `ws://127.0.0.1:${port}/own?user=ada`;
      const asked = await Promise.race([
        eventually(async () => {
          const refused = await refusalAt(url);
          expect(refused).toMatchObject({ status: 503 });
          expect(refused!.headers['retry-after']).toMatch(/^([5-9]|10)$/);
        }),
        starting,
      ]);
      expect(asked).toBeUndefined();
      ready();
      await starting;
      const client = await TestClient.open(url);
      expect(await client.ask('hold')).toEqual({ event: 'held' });
    },
  );
});

describe('an application context', () => {
  it('has no gateways, and disposes of its managers before the pool of the app is closed', async () => {
    const { gateway } = slowlyDisposed(await freePort());
    const app = await NestFactory.createApplicationContext(
      rootWith({ providers: [gateway, Pool] }),
      quiet,
    );
    const context = UserExecutionContext.fromWebSocketRequest({ userId: 'ada' });
    const manager = await app.get(WebSocketManagerFactory).createManager(context);
    manager.onDispose(() => void story.push('disposer'));
    await app.close();
    expect(story).toEqual(['disposer', 'pool closed']);
  });
});

describe.each(kinds.slice(0, 2))('$name that closes', ({ start }) => {
  @IsolatedGateway({ path: '/isolated' })
  class Isolated {
    @SubscribeMessage('hi') hi(): unknown {
      return { event: 'hi' };
    }
  }
  @WebSocketGateway({ path: '/plain' })
  class Plain {
    @SubscribeMessage('hi') hi(): unknown {
      return { event: 'hi' };
    }
  }

  it('replies with 503 and Retry-After to clients that connected before the port closed', async () => {
    const app = await start(rootWith({ providers: [Isolated, Plain] }));
    const server = (app as unknown as { getHttpServer(): Server }).getHttpServer();
    const { port } = server.address() as { port: number };
    // These clients are connected, and send their upgrade requests after the port has closed.
    const waiting = await Promise.all(Array.from({ length: 10 }, () => RawSocket.open(port)));
    await eventually(async () => {
      const count = await new Promise((resolve) =>
        server.getConnections((_error, connections) => resolve(connections)),
      );
      expect(count).toBe(10);
    });
    const closing = app.close();
    await eventually(() => expect(server.listening).toBe(false));
    waiting.forEach((raw, index) => {
      raw.write(upgradeRequest(`/${index % 2 ? 'isolated' : 'plain'}?user=u${index}`));
    });
    await eventually(() => {
      for (const raw of waiting) {
        expect(raw.status).toBe(503);
        expect(raw.received).toMatch(/^retry-after: (?:[5-9]|10)\r$/im);
      }
    });
    await closing;
    expect(server.listenerCount('upgrade')).toBe(0);
  });

  it('gives each of 200 connecting clients a socket, 503 with Retry-After, or no connection', async () => {
    const app = await start(rootWith({ providers: [Isolated, Plain] }));
    const server = (app as unknown as { getHttpServer(): Server }).getHttpServer();
    const { port } = server.address() as { port: number };
    // Clients that were still in the backlog of the operating system when the port closed never reached the server.
    const reached = new Set<number | undefined>();
    server.on('connection', (socket: Socket) => reached.add(socket.remotePort));
    const answers = new Map<string, number>();
    let isClosing = false;
    const connectOne = async (user: number): Promise<void> => {
      const raw = await RawSocket.open(port).catch(() => undefined);
      if (!raw) return;
      const { localPort } = raw.socket;
      raw.write(upgradeRequest(`/isolated?user=u${user}`));
      await eventually(() => expect(raw.status !== undefined || raw.isClosed).toBe(true));
      if (raw.status === undefined && !reached.has(localPort)) return;
      const isTold = raw.status !== 503 || /^retry-after: (?:[5-9]|10)\r$/im.test(raw.received);
      const line = `${raw.status}${isTold ? '' : ' without Retry-After'}`;
      answers.set(line, (answers.get(line) ?? 0) + 1);
      raw.destroy();
    };
    const clients = Array.from({ length: 200 }, async (_, user) => {
      await connectOne(user);
      if (!isClosing) await connectOne(user + 200);
    });
    await eventually(() => expect(answers.get('101')).toBeGreaterThan(0));
    isClosing = true;
    const closing = app.close();
    await Promise.all(clients);
    await closing;
    expect([...answers.keys()].filter((line) => line !== '101' && line !== '503')).toEqual([]);
  });
});
