import { afterEach, describe, expect, it, jest } from '@jest/globals';
import {
  Controller,
  forwardRef,
  type INestApplication,
  Inject,
  Injectable,
  Logger,
  Module,
  type ModuleMetadata,
  type Provider,
  Scope,
} from '@nestjs/common';
import { NestFactory, REQUEST } from '@nestjs/core';
import { WsAdapter } from '@nestjs/platform-ws';
import { Interval, ScheduleModule, SchedulerRegistry } from '@nestjs/schedule';
import {
  type ConnectionAuthenticator,
  type ConnectionIdentity,
  IsolatedGateway,
  IsolatedWsAdapter,
  IsolationEventBus,
  UserExecutionContext,
  WebSocketIsolationModule,
  type WebSocketIsolationOptionsFactory,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually } from 'nestjs-websocket-isolation/testing';

const PROACTIVE = 'websocket-isolation:proactive-cleanup';
const EMERGENCY = 'websocket-isolation:emergency-cleanup';

let app: INestApplication | undefined;
afterEach(async () => {
  await app?.close();
  app = undefined;
});

async function boot(
  metadata: ModuleMetadata,
  prepare?: (app: INestApplication) => void,
): Promise<INestApplication> {
  @Module(metadata)
  class BootModule {}
  const made = await NestFactory.create(BootModule, { logger: false, abortOnError: false });
  prepare?.(made);
  await made.init();
  app = made;
  return made;
}

const forRoot = (): ReturnType<typeof WebSocketIsolationModule.forRoot> =>
  WebSocketIsolationModule.forRoot();

@Injectable({ scope: Scope.REQUEST })
class NeedsContext {
  constructor(readonly context: UserExecutionContext) {}
}

@IsolatedGateway({ path: '/lonely' })
class Lonely {}

/** Returns the module with clean-up jobs that run every 20 ms. */
const fast = (): ReturnType<typeof forRoot> =>
  WebSocketIsolationModule.forRoot({
    cleanup: { proactiveIntervalMs: 20, emergencyIntervalMs: 20 },
  });

describe('a boot fails with a message that names the fix', () => {
  it('when the app has set another adapter', async () => {
    const boot1 = boot({ imports: [forRoot()] }, (made) =>
      made.useWebSocketAdapter(new WsAdapter(made)),
    );
    await expect(boot1).rejects.toThrow(
      /WsAdapter.*app\.useWebSocketAdapter\(new IsolatedWsAdapter/,
    );
    await expect(boot1).rejects.toMatchObject({ code: 'FOREIGN_ADAPTER' });
  });

  it('when the module is imported twice with options', async () => {
    @Module({ imports: [WebSocketIsolationModule.forRoot({ limits: { maxManagers: 5 } })] })
    class Feature {}
    await expect(boot({ imports: [forRoot(), Feature] })).rejects.toMatchObject({
      code: 'IMPORTED_TWICE',
      message: expect.stringMatching(
        /in BootModule and Feature, .*forRoot\(\) once, in the root module/,
      ),
    });
  });

  it('when the module is imported twice, once by a dynamic module', async () => {
    @Module({})
    class Dynamic {}
    const dynamic = {
      module: Dynamic,
      imports: [WebSocketIsolationModule.forRootAsync({ useFactory: () => ({}) })],
    };
    await expect(boot({ imports: [forRoot(), dynamic] })).rejects.toMatchObject({
      code: 'IMPORTED_TWICE',
      message: expect.stringContaining('in BootModule and Dynamic,'),
    });
  });

  it.each<[string, Provider[]]>([
    ['and nothing else', []],
    ['and its parts are injected', [NeedsContext]],
  ])('when the module is imported as a class, %s', async (_name, providers) => {
    await expect(boot({ imports: [WebSocketIsolationModule], providers })).rejects.toMatchObject({
      code: 'MODULE_WITHOUT_OPTIONS',
      message: expect.stringContaining('imports: [WebSocketIsolationModule.forRoot()]'),
    });
  });

  it('but not when a feature module imports the class and the root module calls forRoot()', async () => {
    @Module({ imports: [WebSocketIsolationModule] })
    class Feature {}
    const made = await boot({ imports: [Feature, forRoot()] });
    expect(made.get(WebSocketManagerFactory)).toBeDefined();
  });

  it.each<[string, (made: INestApplication) => void]>([
    ["with the library's adapter", (made) => made.useWebSocketAdapter(new IsolatedWsAdapter(made))],
    ['with the stock adapter', (made) => made.useWebSocketAdapter(new WsAdapter(made))],
    ['with no adapter', () => undefined],
  ])('when the module is not imported, %s', async (_name, prepare) => {
    await expect(boot({ providers: [Lonely] }, prepare)).rejects.toMatchObject({
      code: 'MODULE_NOT_IMPORTED',
      message: expect.stringMatching(/^Lonely has @IsolatedGateway\(\).*forRoot\(\)\]/),
    });
  });

  // `NestFactory.create()` does so by default: Nest then ends the process when `app.get()` finds nothing.
  it('when the module is not imported, in an app that ends its process on errors', async () => {
    @Module({ providers: [Lonely] })
    class Root {}
    const exit = jest.spyOn(process, 'exit').mockImplementation(() => {
      throw new Error('the process was ended');
    });
    const made = await NestFactory.create(Root, { logger: false });
    try {
      made.useWebSocketAdapter(new IsolatedWsAdapter(made));
      await expect(made.init()).rejects.toMatchObject({ code: 'MODULE_NOT_IMPORTED' });
      expect(exit).not.toHaveBeenCalled();
    } finally {
      exit.mockRestore();
      await made.close();
    }
  });

  it('when another adapter is set beside an isolated gateway', async () => {
    const failing = boot({ imports: [forRoot()], providers: [Lonely] }, (made) =>
      made.useWebSocketAdapter(new WsAdapter(made)),
    );
    await expect(failing).rejects.toMatchObject({ code: 'FOREIGN_ADAPTER' });
  });

  it.each([
    ['/rooms/*', 'has a wildcard, a group or an optional part'],
    ['/files/*path', 'has a wildcard, a group or an optional part'],
    ['/room/:room?', 'has a wildcard, a group or an optional part'],
    ['/a{/b}', 'has a wildcard, a group or an optional part'],
    ['/(a|b)', 'has a wildcard, a group or an optional part'],
    ['/room/:', "has the parameter ':'"],
    ['/room/:1st', "has the parameter ':1st'"],
    ['/room/:räum', "has the parameter ':räum'"],
    ['/room/:from-:to', "has the parameter ':from-:to'"],
    ['/room-:id', "has a parameter that is only a part of the segment 'room-:id'"],
    ['room/:id/seat/:id', "has the parameter ':id' twice"],
  ])(
    'when the path of an isolated gateway is a pattern of another kind than parameters: %s',
    async (path, fault) => {
      @IsolatedGateway({ path })
      class RoomGateway {}
      await expect(boot({ imports: [forRoot()], providers: [RoomGateway] })).rejects.toMatchObject({
        code: 'PATH_PATTERN',
        message: expect.stringContaining(`The path '${path}' of RoomGateway ${fault}`),
      });
    },
  );

  it.each([
    ['admin', "path: '/admin'"],
    ['/admin', "path: '/admin'"],
    [/^\/tenant-\d+$/, "path: '/tenant/:tenant'"],
  ])('when an isolated gateway has a namespace of Socket.IO: %s', async (namespace, fix) => {
    @IsolatedGateway({ namespace })
    class AdminGateway {}
    await expect(boot({ imports: [forRoot()], providers: [AdminGateway] })).rejects.toMatchObject({
      code: 'NAMESPACE_UNSUPPORTED',
      message: expect.stringContaining(`Write @IsolatedGateway({ ${fix} })`),
    });
  });

  it('when the authenticator is not a provider', async () => {
    class Nobody implements ConnectionAuthenticator {
      authenticate(): Promise<ConnectionIdentity | null> {
        return Promise.resolve(null);
      }
    }
    const options = { authenticator: Nobody };
    await expect(
      boot({ imports: [WebSocketIsolationModule.forRoot(options)] }),
    ).rejects.toMatchObject({
      code: 'AUTHENTICATOR_NOT_FOUND',
      message: expect.stringContaining('Add Nobody to the providers'),
    });
  });

  it('when options are invalid: it lists all of them, with value and rule', async () => {
    const options = {
      limits: { maxManagersPerUser: 0, nonsense: 1 },
      cleanup: { staleAfterMs: 1.5 },
      handshake: { allowedOrigins: ['https://a.example/path'] },
    };
    const failing = boot({ imports: [WebSocketIsolationModule.forRoot(options)] });
    await expect(failing).rejects.toThrow(/limits\.maxManagersPerUser.* is 0: must be at least 1/);
    for (const text of [
      'limits.nonsense',
      'cleanup.staleAfterMs',
      'WS_ISOLATION_HANDSHAKE_ALLOWED_ORIGINS',
    ]) {
      await expect(failing).rejects.toThrow(text);
    }
  });

  it('when an isolated gateway was not connected', async () => {
    @IsolatedGateway({ path: '/unseen' })
    class Elsewhere {}
    // Simulates a Nest version that no longer passes the server to the gateway. That is how the library detects it.
    Reflect.deleteProperty(Elsewhere.prototype, 'websocket-isolation:server');
    await expect(boot({ imports: [forRoot()], providers: [Elsewhere] })).rejects.toMatchObject({
      code: 'GATEWAY_NOT_ATTACHED',
      message: expect.stringContaining('Elsewhere'),
    });
  });
});

/** Starts an app, and resolves to the warnings in its log. */
async function warningsOf(metadata: ModuleMetadata): Promise<string[]> {
  const warnings: string[] = [];
  const warn = (line: string): void => void warnings.push(line);
  Logger.overrideLogger({ warn, log: () => undefined, error: () => undefined });
  try {
    @Module(metadata)
    class Root {}
    app = await NestFactory.create(Root, { abortOnError: false });
    await app.init();
  } finally {
    Logger.overrideLogger(false);
  }
  return warnings;
}

describe('a gateway that no module provides', () => {
  it('causes a warning that names it, unless it is only a base class', async () => {
    @IsolatedGateway({ path: '/base' })
    class BaseGateway {}
    @IsolatedGateway({ path: '/used' })
    class UsedGateway extends BaseGateway {}
    @IsolatedGateway({ path: '/forgotten' })
    class ForgottenGateway {}
    const warnings = await warningsOf({ imports: [forRoot()], providers: [UsedGateway] });
    const about = (name: string): string[] => warnings.filter((line) => line.startsWith(name));
    expect(about('ForgottenGateway')).toEqual([
      expect.stringContaining('Write providers: [ForgottenGateway]'),
    ]);
    expect([...about('BaseGateway'), ...about('UsedGateway')]).toEqual([]);
    expect(ForgottenGateway.name).toBe('ForgottenGateway');
  });
});

describe('a gateway that two modules provide', () => {
  it('causes a warning that names both: each connection gets two instances', async () => {
    @IsolatedGateway({ path: '/twice' })
    class TwiceGateway {}
    @IsolatedGateway({ path: '/twice' })
    class OnceGateway {}
    @Module({ providers: [TwiceGateway, OnceGateway], exports: [TwiceGateway] })
    class FirstModule {}
    @Module({ imports: [FirstModule], providers: [TwiceGateway] })
    class SecondModule {}
    const warnings = await warningsOf({ imports: [forRoot(), SecondModule] });
    expect(warnings.filter((line) => line.includes('Gateway is in'))).toEqual([
      expect.stringMatching(
        /^TwiceGateway is in .* \((First|Second)Module, (First|Second)Module\)/,
      ),
    ]);
  });
});

describe('an IsolatedWsAdapter set by the app', () => {
  it('is used', async () => {
    const made = await boot({ imports: [forRoot()] }, (created) =>
      created.useWebSocketAdapter(new IsolatedWsAdapter(created, { maxPayload: 10 })),
    );
    expect(made.get(WebSocketManagerFactory)).toBeDefined();
  });
});

describe('options', () => {
  @Injectable()
  class OptionsFactory implements WebSocketIsolationOptionsFactory {
    createWebSocketIsolationOptions(): { limits: { maxManagersPerUser: number } } {
      return { limits: { maxManagersPerUser: 7 } };
    }
  }
  @Module({ providers: [OptionsFactory], exports: [OptionsFactory] })
  class OptionsModule {}

  it.each([
    ['useFactory', { useFactory: async () => ({ limits: { maxManagersPerUser: 7 } }) }],
    ['useClass', { useClass: OptionsFactory }],
    ['useExisting', { imports: [OptionsModule], useExisting: OptionsFactory }],
  ])('come from %s', async (_name, options) => {
    const made = await boot({ imports: [WebSocketIsolationModule.forRootAsync(options)] });
    const { configuration } = made.get(WebSocketManagerFactory).getStats();
    expect(configuration).toMatchObject({ maxManagersPerUser: 7, proactiveFrom: 4 });
  });

  it('come from the environment, and options in code take precedence', async () => {
    process.env['WS_ISOLATION_LIMITS_MAX_MANAGERS_PER_USER'] = '9';
    process.env['WS_ISOLATION_LIMITS_MAX_MANAGERS'] = '90';
    try {
      const made = await boot({
        imports: [WebSocketIsolationModule.forRoot({ limits: { maxManagers: 33 } })],
      });
      const { configuration } = made.get(WebSocketManagerFactory).getStats();
      expect(configuration).toMatchObject({ maxManagersPerUser: 9, maxManagers: 33 });
    } finally {
      delete process.env['WS_ISOLATION_LIMITS_MAX_MANAGERS_PER_USER'];
      delete process.env['WS_ISOLATION_LIMITS_MAX_MANAGERS'];
    }
  });
});

describe('jobs', () => {
  let ticks = 0;
  @Injectable()
  class AppJobs {
    @Interval('app-job', 20)
    tick(): void {
      ticks += 1;
    }
  }
  @Module({ imports: [ScheduleModule.forRoot()] })
  class WithSchedule {}

  const schedules: [string, ModuleMetadata['imports']][] = [
    ['no schedule', []],
    ['intervals switched off', [ScheduleModule.forRoot({ intervals: false })]],
    ['cron jobs switched off', [ScheduleModule.forRoot({ cronJobs: false })]],
    [
      'everything switched off',
      [ScheduleModule.forRoot({ intervals: false, cronJobs: false, timeouts: false })],
    ],
    ['two schedules', [ScheduleModule.forRoot(), ScheduleModule.forRoot({ cronJobs: false })]],
  ];

  it.each(schedules)('of the library run, with %s in the app', async (_name, imports = []) => {
    const made = await boot({ imports: [fast(), ...imports] });
    const runs: string[] = [];
    made.get(IsolationEventBus).on('cleanup-finished', ({ kind }) => void runs.push(kind));
    await eventually(() => {
      expect(runs.filter((kind) => kind === 'proactive').length).toBeGreaterThan(1);
      expect(runs.filter((kind) => kind === 'emergency').length).toBeGreaterThan(1);
    });
    await made.close();
    app = undefined;
    const before = runs.length;
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(runs).toHaveLength(before);
  });

  it('of the app stay off if the app has switched them off', async () => {
    ticks = 0;
    const made = await boot({
      imports: [fast(), ScheduleModule.forRoot({ intervals: false })],
      providers: [AppJobs],
    });
    const registry = made.get(SchedulerRegistry, { strict: false });
    expect(registry.getIntervals().toSorted()).toEqual([EMERGENCY, PROACTIVE].toSorted());
    let runs = 0;
    made.get(IsolationEventBus).on('cleanup-finished', () => void (runs += 1));
    await eventually(() => expect(runs).toBeGreaterThan(4));
    expect(ticks).toBe(0);
  });

  it('of the library stop when the app deletes them from its registry', async () => {
    const made = await boot({ imports: [fast()] });
    const registry = made.get(SchedulerRegistry, { strict: false });
    registry.deleteInterval(PROACTIVE);
    const kinds: string[] = [];
    made.get(IsolationEventBus).on('cleanup-finished', ({ kind }) => void kinds.push(kind));
    await eventually(() => expect(kinds.length).toBeGreaterThan(2));
    expect(kinds).not.toContain('proactive');
  });

  it.each<[string, ModuleMetadata]>([
    ['without a schedule of the app', { imports: [forRoot()] }],
    ['with one before', { imports: [ScheduleModule.forRoot(), forRoot()] }],
    ['with one after', { imports: [forRoot(), ScheduleModule.forRoot()] }],
    ['with one in a feature module', { imports: [forRoot(), WithSchedule] }],
  ])('tick once each, %s', async (_name, metadata) => {
    ticks = 0;
    const made = await boot({ ...metadata, providers: [AppJobs] });
    const registry = made.get(SchedulerRegistry, { strict: false });
    expect(registry.getIntervals().toSorted()).toEqual(
      ['app-job', EMERGENCY, PROACTIVE].toSorted(),
    );
    // After its only timer is cleared, the job must not run again.
    await eventually(() => expect(ticks).toBeGreaterThan(2));
    const timer = registry.getInterval('app-job') as NodeJS.Timeout;
    clearInterval(timer);
    const before = ticks;
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(ticks).toBe(before);
  });
});

describe('a durable provider', () => {
  @Injectable({ scope: Scope.REQUEST, durable: true })
  class Direct {
    constructor(readonly context: UserExecutionContext) {}
  }
  @Injectable({ scope: Scope.REQUEST, durable: true })
  class ByProperty {
    @Inject(WebSocketManager) readonly manager!: WebSocketManager;
  }
  @Injectable()
  class Helper {
    constructor(readonly needs: NeedsContext) {}
  }
  @Injectable({ scope: Scope.REQUEST, durable: true })
  class ThroughOthers {
    constructor(@Inject(forwardRef(() => Helper)) readonly helper: unknown) {}
  }
  const factory: Provider = {
    provide: 'POOL',
    scope: Scope.REQUEST,
    durable: true,
    inject: [{ token: UserExecutionContext, optional: true }],
    useFactory: (context: unknown) => ({ context }),
  };
  @Controller({ path: 'durable', scope: Scope.REQUEST, durable: true })
  class DurableController {
    constructor(readonly context: UserExecutionContext) {}
  }

  it.each<[string, ModuleMetadata, string]>([
    ['a class', { providers: [Direct] }, 'Direct is durable, and injects UserExecutionContext'],
    ['a property', { providers: [ByProperty] }, 'ByProperty is durable, and injects WebSocketM'],
    ['a factory', { providers: [factory] }, 'POOL is durable, and injects UserExecutionContext'],
    [
      'a controller',
      { controllers: [DurableController] },
      'DurableController is durable, and injects UserExecutionContext',
    ],
    [
      'others in between',
      { providers: [ThroughOthers, Helper, NeedsContext] },
      'ThroughOthers is durable, and injects UserExecutionContext (through Helper, NeedsContext)',
    ],
  ])('stops the boot when it injects an identity: %s', async (_name, metadata, message) => {
    await expect(boot({ ...metadata, imports: [forRoot()] })).rejects.toMatchObject({
      code: 'DURABLE_IDENTITY',
      message: expect.stringContaining(message),
    });
  });

  it('does not stop the boot when it injects REQUEST, singletons and other durable providers', async () => {
    @Injectable()
    class Singleton {}
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Pool {
      constructor(
        @Inject(REQUEST) readonly request: unknown,
        readonly singleton: Singleton,
      ) {}
    }
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Tenant {
      constructor(readonly pool: Pool) {}
    }
    const providers = [Singleton, Pool, Tenant, NeedsContext];
    await expect(boot({ imports: [forRoot()], providers })).resolves.toBeDefined();
  });
});
