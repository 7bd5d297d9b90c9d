import { createServer as createHttpServer } from 'node:http';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';

import {
  type CanActivate,
  type INestApplication,
  type INestMicroservice,
  Inject,
  Injectable,
  Module,
  type ModuleMetadata,
  type NestApplicationOptions,
  type OnApplicationBootstrap,
  type OnModuleInit,
  type PipeTransform,
  type Type,
  UseGuards,
  UsePipes,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Transport } from '@nestjs/microservices';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { WebSocket } from 'ws';

import { tlsClient, tlsServer } from '../../support/tls.js';
import { freePort, running } from '../run-scenario.js';
import type { RunningApp, Scenario, Setting, StartKit } from '../scenario.js';
import type { Session } from '../session.js';

@Injectable()
class Kitchen {
  drink(): string {
    return 'tea';
  }
}

@Injectable()
class Closed implements CanActivate {
  canActivate(): boolean {
    return false;
  }
}

@Injectable()
class Upper implements PipeTransform {
  transform(value: unknown): unknown {
    return typeof value === 'string' ? value.toUpperCase() : value;
  }
}

let ownPort = 0;
const findPort = async (): Promise<void> => {
  ownPort = await freePort();
};

/** An app with a gateway on its port (if any), a gateway on another port, and a provider that records the start. */
function app({ gateway, note }: Setting, hasPort = true): ModuleMetadata {
  @Injectable()
  class Started implements OnModuleInit, OnApplicationBootstrap {
    onModuleInit(): void {
      note('module init');
    }
    onApplicationBootstrap(): void {
      note('bootstrap');
    }
  }
  class Base {
    @Inject(Kitchen) readonly kitchen!: Kitchen;
    afterInit(): void {
      note('init');
    }
    handleConnection(): void {
      note('connect');
    }
    handleDisconnect(): void {
      note('disconnect');
    }
    @SubscribeMessage('hi') hi(@MessageBody() data: unknown): unknown {
      return { event: 'hi', data: [data, this.kitchen.drink()] };
    }
    @UseGuards(Closed) @SubscribeMessage('closed') closed(): unknown {
      return { event: 'closed' };
    }
    @UsePipes(Upper) @SubscribeMessage('upper') upper(@MessageBody() data: unknown): unknown {
      return { event: 'upper', data };
    }
  }
  @gateway({ path: '/shared' })
  class Shared extends Base {}
  @gateway(ownPort, { path: '/own' })
  class Own extends Base {}
  @Module({ providers: [Started] })
  class Below {}
  return { imports: [Below], providers: [Kitchen, Own, ...(hasPort ? [Shared] : [])] };
}

async function talk(session: Session, name: string, address: string, options = {}): Promise<void> {
  const client = await session.connect(name, address, options);
  const { isOpen } = client;
  await client.send('hi', 1);
  await client.send('closed');
  await client.send('upper', 'x');
  await client.close();
  if (isOpen) await session.noted('disconnect');
}

const own = (): string => `ws://127.0.0.1:${ownPort}/own`;
async function both(session: Session): Promise<void> {
  await talk(session, 'ada', '/shared', tlsClient);
  await talk(session, 'bob', own());
  await talk(session, 'eve', '/elsewhere', tlsClient);
}

const onOwnPort = (session: Session): Promise<void> => talk(session, 'bob', own());

type Start = (root: Type, kit: StartKit) => Promise<RunningApp>;

function scenario(
  title: string,
  start: Start,
  script: Scenario['script'] = both,
  more: Partial<Scenario> = {},
): Scenario {
  return { title: `app: ${title}`, app: withPort, before: findPort, start, script, ...more };
}

const withPort = (setting: Setting): ModuleMetadata => app(setting);
const withoutPort = { app: (setting: Setting): ModuleMetadata => app(setting, false) };

const quiet = ({ logger }: StartKit) => ({ logger, abortOnError: false }) as const;
const listen = (nest: INestApplication): Promise<unknown> => nest.listen(0, '127.0.0.1');

/** An HTTP app that differs from the default in one setting. */
function http({
  options,
  adapter,
  prepare,
  start = listen,
  at,
}: {
  options?: (kit: StartKit) => NestApplicationOptions;
  adapter?: () => ExpressAdapter | FastifyAdapter;
  prepare?: (nest: INestApplication) => void | Promise<void>;
  start?: (nest: INestApplication) => Promise<unknown>;
  at?: { scheme?: string; host?: string };
}): Start {
  return async (root, kit) => {
    const settings = { ...quiet(kit), ...options?.(kit) };
    const nest: INestApplication = adapter
      ? await NestFactory.create(root, adapter(), settings)
      : await NestFactory.create(root, settings);
    kit.useAdapter(nest);
    await prepare?.(nest);
    await start(nest);
    return running(nest, at);
  };
}

const secure = { scheme: 'wss' };
// On machines without IPv6, this scenario uses IPv4.
const hasIpv6 = Object.values(networkInterfaces()).some((addresses) =>
  addresses?.some(({ address }) => address === '::1'),
);

const overHttp: Scenario[] = [
  scenario('Express', http({})),
  scenario(
    'Express with what users switch on',
    http({
      options: () => ({
        cors: true,
        rawBody: true,
        bodyParser: false,
        forceCloseConnections: true,
        bufferLogs: true,
      }),
      prepare(nest) {
        nest.setGlobalPrefix('api');
        nest.enableVersioning();
        nest.enableCors();
        nest.enableShutdownHooks([]);
        nest.use((_request: unknown, _response: unknown, next: () => void) => next());
      },
    }),
  ),
  scenario(
    'Express, with middleware that answers everything',
    http({
      prepare(nest) {
        nest.use((_request: unknown, response: { end(text: string): void }) =>
          response.end('mine'),
        );
      },
    }),
  ),
  scenario('Express that is made by hand', http({ adapter: () => new ExpressAdapter() })),
  scenario('Fastify', http({ adapter: () => new FastifyAdapter() })),
  scenario(
    'Fastify that closes idle connections',
    http({
      adapter: () => new FastifyAdapter({ forceCloseConnections: true, trustProxy: true }),
    }),
  ),
  scenario(
    'HTTPS on Express',
    http({
      options: () => ({ httpsOptions: tlsServer }),
      at: secure,
    }),
  ),
  scenario(
    'HTTPS on Fastify',
    http({
      adapter: () => new FastifyAdapter({ https: tlsServer }),
      at: secure,
    }),
  ),
  scenario(
    'HTTP/2 with HTTP/1 on Fastify',
    http({
      adapter: () =>
        new FastifyAdapter({ http2: true, https: { allowHTTP1: true, ...tlsServer } } as object),
      at: secure,
    }),
  ),
  scenario(
    'IPv6',
    http({
      start: (nest) => nest.listen(0, hasIpv6 ? '::1' : '127.0.0.1'),
      at: { host: hasIpv6 ? '[::1]' : '127.0.0.1' },
    }),
  ),
  scenario('listens on all addresses', http({ start: (nest) => nest.listen(0) })),
  scenario(
    'a server that is listened with by hand',
    http({
      async start(nest) {
        await nest.init();
        const server = nest.getHttpServer() as ReturnType<typeof createHttpServer>;
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      },
    }),
  ),
  scenario(
    'modules named by their contents',
    http({
      options: () => ({ moduleIdGeneratorAlgorithm: 'deep-hash' }),
    }),
  ),
  scenario(
    'modules named by reference',
    http({
      options: () => ({ moduleIdGeneratorAlgorithm: 'reference' }),
    }),
  ),
  scenario('snapshot', http({ options: () => ({ snapshot: true }) })),
  scenario(
    'preview',
    http({ options: () => ({ preview: true }), start: () => Promise.resolve() }),
    onOwnPort,
    withoutPort,
  ),
  scenario(
    'a decorator of instances that looks at each',
    http({
      options: ({ note }) => ({
        instrument: {
          instanceDecorator(instance) {
            if (instance instanceof Kitchen) note('kitchen made');
            return instance;
          },
        },
      }),
    }),
  ),
  scenario(
    'a decorator of instances that puts a proxy around each',
    http({
      options: () => ({
        instrument: {
          instanceDecorator: (instance) =>
            typeof instance === 'object' && instance ? new Proxy(instance, {}) : instance,
        },
      }),
    }),
  ),
  scenario(
    'a decorator of instances that puts a proxy around the app’s own',
    http({
      options: () => ({
        instrument: {
          instanceDecorator: (instance) =>
            instance instanceof Kitchen ? new Proxy(instance, {}) : instance,
        },
      }),
    }),
  ),
];

let socketFile = '';
const unixSocket: Scenario = {
  ...scenario(
    'a Unix socket',
    http({
      start: (nest) => {
        socketFile = join(tmpdir(), `parity-${process.pid}-${Date.now()}.sock`);
        return nest.listen(socketFile);
      },
    }),
    async (session) => {
      await talk(session, 'ada', `ws+unix:${socketFile}:/shared`);
      await talk(session, 'bob', own());
    },
  ),
};

const strategy = (kit: StartKit) => ({
  listen(done: () => void): void {
    kit.note('transport listens');
    done();
  },
  close(): void {
    kit.note('transport closed');
  },
});

/** A microservice with the given transport. */
const microservice =
  (transport: (kit: StartKit) => object | Promise<object>): Start =>
  async (root, kit) => {
    const nest: INestMicroservice = await NestFactory.createMicroservice(root, {
      ...(await transport(kit)),
      ...quiet(kit),
    });
    kit.useAdapter(nest);
    await nest.listen();
    return running(nest);
  };

const tcp = async (): Promise<object> => ({
  transport: Transport.TCP,
  options: { host: '127.0.0.1', port: await freePort() },
});

const hybrid = (inheritAppConfig: boolean): Start =>
  http({
    async prepare(nest) {
      nest.useGlobalPipes(new Upper());
      nest.connectMicroservice(await tcp(), { inheritAppConfig });
      await nest.startAllMicroservices();
    },
  });

const otherKinds: Scenario[] = [
  scenario(
    'a microservice',
    microservice((kit) => ({ strategy: strategy(kit) })),
    onOwnPort,
    withoutPort,
  ),
  scenario('a microservice over TCP', microservice(tcp), onOwnPort, withoutPort),
  scenario('hybrid', hybrid(false)),
  scenario('hybrid that inherits the configuration', hybrid(true)),
  scenario(
    'hybrid whose microservice starts after it listens',
    http({
      async start(nest) {
        nest.connectMicroservice(await tcp());
        await listen(nest);
        await nest.startAllMicroservices();
      },
    }),
  ),
  scenario(
    'an application context',
    async (root, kit) => running(await NestFactory.createApplicationContext(root, quiet(kit))),
    onOwnPort,
    withoutPort,
  ),
];

/** A testing module with overridden providers. */
const testing =
  (
    override: (builder: ReturnType<typeof Test.createTestingModule>) => unknown,
    create: (root: Type) => Type = (root) => root,
  ): Start =>
  async (root, kit) => {
    const builder = Test.createTestingModule({ imports: [create(root)] }).setLogger(kit.logger);
    override(builder);
    const nest = (await builder.compile()).createNestApplication(quiet(kit));
    kit.useAdapter(nest);
    await listen(nest);
    return running(nest);
  };

@Module({})
class Empty {}
@Module({})
class OtherEmpty {}

const tests: Scenario[] = [
  scenario(
    'a testing module',
    testing(() => undefined),
  ),
  scenario(
    'a testing module with another provider',
    testing((builder) =>
      builder.overrideProvider(Kitchen).useValue({ drink: () => 'a mocked drink' }),
    ),
  ),
  scenario(
    'a testing module with another class',
    testing((builder) =>
      builder.overrideProvider(Kitchen).useClass(
        class extends Kitchen {
          override drink(): string {
            return 'coffee';
          }
        },
      ),
    ),
  ),
  scenario(
    'a testing module with a factory that is late',
    testing((builder) =>
      builder.overrideProvider(Kitchen).useFactory({
        factory: async () => {
          await new Promise((resolve) => setImmediate(resolve));
          return { drink: () => 'late' };
        },
      }),
    ),
  ),
  scenario(
    'a testing module with another guard',
    testing((builder) => builder.overrideGuard(Closed).useValue({ canActivate: () => true })),
  ),
  scenario(
    'a testing module with another pipe',
    testing((builder) =>
      builder.overridePipe(Upper).useValue({ transform: (value: unknown) => [value] }),
    ),
  ),
  scenario(
    'a testing module with another module',
    testing(
      (builder) => builder.overrideModule(Empty).useModule(OtherEmpty),
      (root) => {
        @Module({ imports: [root, Empty] })
        class Outer {}
        return Outer;
      },
    ),
  ),
  scenario(
    'a testing module with mocks for what is missing',
    testing((builder) => builder.useMocker(() => ({ drink: () => 'made up' }))),
  ),
  scenario(
    'a testing module that is closed without an app',
    async (root, kit) => {
      const nest = await Test.createTestingModule({ imports: [root] })
        .setLogger(kit.logger)
        .compile();
      await nest.init();
      return running(nest);
    },
    onOwnPort,
    withoutPort,
  ),
];

/** Connects, sends a message and disconnects, without a line in the transcript. */
async function visit(url: string): Promise<void> {
  const client = new WebSocket(`${url}/shared?user=visitor`);
  await new Promise<void>((resolve, reject) => {
    client.once('open', () => client.send('{"event":"hi"}'));
    client.once('message', () => client.close());
    client.once('close', () => resolve());
    client.once('error', reject);
  });
}

const CREATED = 100;
let others: RunningApp[] = [];
const onSharedPort = ({ gateway, note }: Setting): ModuleMetadata => {
  @gateway({ path: '/shared' })
  class Shared {
    handleDisconnect(): void {
      note('disconnect');
    }
    @SubscribeMessage('hi') hi(): unknown {
      return { event: 'hi' };
    }
  }
  return { providers: [Shared] };
};

const several: Scenario[] = [
  scenario(
    'several in one process',
    async (root, kit) => {
      others = [
        await http({})(root, kit),
        await http({ adapter: () => new FastifyAdapter() })(root, kit),
      ];
      return http({})(root, kit);
    },
    async (session, main) => {
      const [second, third] = others as [RunningApp, RunningApp];
      await talk(session, 'ada', '/shared');
      await talk(session, 'bob', `${second.url}/shared`);
      await talk(session, 'eve', `${third.url}/shared`);
      await main.close();
      await talk(session, 'kim', `${second.url}/shared`);
      await second.close();
      await talk(session, 'lou', `${third.url}/shared`);
      await third.close();
    },
    { app: onSharedPort },
  ),
  scenario(
    `created ${CREATED} times`,
    async (root, kit) => {
      const events = ['exit', 'uncaughtException', 'unhandledRejection', 'SIGTERM', 'warning'];
      const count = (): number[] => events.map((event) => process.listenerCount(event));
      const warn = ({ name, message }: Error): void => kit.note(`${name}: ${message}`);
      process.on('warning', warn);
      const before = count();
      for (let created = 1; created < CREATED; created += 1) {
        const one = await http({})(root, kit);
        await visit(one.url);
        await one.close();
      }
      kit.note(
        `listeners that are left: ${count()
          .map((now, index) => now - before[index]!)
          .join()}`,
      );
      process.off('warning', warn);
      return http({})(root, kit);
    },
    (session) => talk(session, 'ada', '/shared'),
    { app: onSharedPort },
  ),
];

/** All kinds of Nest apps, and all ways to start them. */
export const apps: readonly Scenario[] = [
  ...overHttp,
  unixSocket,
  ...otherKinds,
  ...tests,
  ...several,
];
