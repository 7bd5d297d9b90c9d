import {
  type CanActivate,
  type DynamicModule,
  forwardRef,
  Global,
  Inject,
  Injectable,
  mixin,
  Module,
  type ModuleMetadata,
  type OnModuleInit,
  Scope,
  type Type,
  UseGuards,
} from '@nestjs/common';
import { LazyModuleLoader, ModuleRef } from '@nestjs/core';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';

import { freePort } from '../run-scenario.js';
import type { Scenario, Setting } from '../scenario.js';
import type { Session } from '../session.js';

const talk = async (session: Session): Promise<void> => {
  const ada = await session.connect('ada');
  await ada.send('hi', 1);
  await ada.send('other', 2);
  await ada.close();
  if (session.transcript.read('server').includes('connect')) await session.noted('disconnect');
};

function scenario(
  title: string,
  app: (setting: Setting) => ModuleMetadata,
  script: (session: Session) => Promise<void> = talk,
): Scenario {
  return { title: `gateway: ${title}`, app, script };
}

/** A gateway with all hooks and handlers as plain methods. */
function plainGateway({ note }: Setting): Type {
  class Gateway {
    afterInit(): void {
      note('init');
    }
    handleConnection(): void {
      note('connect');
    }
    handleDisconnect(): void {
      note('disconnect');
    }
    hi(data: unknown): unknown {
      return { event: 'hi', data };
    }
  }
  MessageBody()(Gateway.prototype, 'hi', 0);
  SubscribeMessage('hi')(
    Gateway.prototype,
    'hi',
    Object.getOwnPropertyDescriptor(Gateway.prototype, 'hi')!,
  );
  return Gateway;
}

const withHi = (word: string): Type => {
  class Mixed {
    @SubscribeMessage('hi') hi(): unknown {
      return { event: 'hi', data: word };
    }
  }
  return mixin(Mixed);
};

const EVENT = Symbol('event');
const COMPUTED = ['com', 'puted'].join('');
enum Events {
  hi = 'hi',
  other = 1,
}

const written: Scenario[] = [
  scenario('hooks as methods', (setting) => {
    const Gateway = plainGateway(setting);
    setting.gateway()(Gateway);
    return { providers: [Gateway] };
  }),
  scenario('hooks as arrow properties', ({ gateway, note }) => {
    @gateway()
    class Gateway {
      afterInit = (): void => note('init');
      handleConnection = (): void => note('connect');
      handleDisconnect = (): void => note('disconnect');
      @SubscribeMessage('hi') hi(): unknown {
        return { event: 'hi', data: this.handleConnection.length };
      }
    }
    return { providers: [Gateway] };
  }),
  scenario('hooks that a constructor sets', ({ gateway, note }) => {
    @gateway()
    class Gateway {
      handleConnection?: () => void;
      handleDisconnect?: () => void;
      constructor() {
        this.handleConnection = () => note('connect');
        this.handleDisconnect = () => note('disconnect');
      }
      @SubscribeMessage('hi') hi(): unknown {
        return { event: 'hi' };
      }
    }
    return { providers: [Gateway] };
  }),
  scenario('hooks as getters', ({ gateway, note }) => {
    @gateway()
    class Gateway {
      get handleConnection(): () => void {
        return () => note('connect');
      }
      get handleDisconnect(): () => void {
        return () => note('disconnect');
      }
      @SubscribeMessage('hi') hi(): unknown {
        return { event: 'hi' };
      }
    }
    return { providers: [Gateway] };
  }),
  scenario('hooks and handlers that use private fields', ({ gateway, note }) => {
    @gateway()
    class Gateway {
      readonly #seen: string[] = [];
      handleConnection(): void {
        this.#seen.push('seen');
      }
      handleDisconnect(): void {
        note(this.#seen.join());
      }
      @SubscribeMessage('hi') hi(): unknown {
        return { event: 'hi', data: this.#seen };
      }
    }
    return { providers: [Gateway] };
  }),
  scenario('everything inherited from a class', (setting) => {
    const Parent = plainGateway(setting);
    @setting.gateway()
    class Gateway extends Parent {}
    return { providers: [Gateway] };
  }),
  scenario('an abstract parent with hooks that call the child', ({ gateway, note }) => {
    abstract class Parent {
      abstract name(): string;
      afterInit(): void {
        note(`init ${this.name()}`);
      }
      handleConnection(): void {
        note(`connect ${this.name()}`);
      }
      handleDisconnect(): void {
        note('disconnect');
      }
      @SubscribeMessage('hi') hi(): unknown {
        return { event: 'hi', data: this.name() };
      }
    }
    @gateway()
    class Gateway extends Parent {
      name(): string {
        return 'child';
      }
      override handleConnection(): void {
        super.handleConnection();
        note('connect of the child');
      }
    }
    return { providers: [Gateway] };
  }),
  scenario('a parent that is a gateway too, the child without a decorator', (setting) => {
    const Parent = plainGateway(setting);
    setting.gateway()(Parent);
    class Gateway extends Parent {
      afterInit(): void {
        setting.note('init of the child');
      }
    }
    Injectable(setting.form === 'scoped' ? { scope: Scope.REQUEST } : {})(Gateway);
    return { providers: [Gateway] };
  }),
  scenario(
    'a parent and a child that are gateways, both provided',
    (setting) => {
      const Parent = plainGateway(setting);
      setting.gateway()(Parent);
      @setting.gateway({ path: '/child' })
      class Child extends Parent {
        @SubscribeMessage('other') other(): unknown {
          return { event: 'child' };
        }
      }
      return { providers: [Parent, Child] };
    },
    async (session) => {
      await talk(session);
      const bob = await session.connect('bob', '/child');
      await bob.send('hi', 1);
      await bob.send('other', 1);
    },
  ),
  scenario('a mixin', (setting) => {
    @setting.gateway()
    class Gateway extends withHi('mixed') {}
    return { providers: [Gateway] };
  }),
  scenario('a class without a name', ({ gateway }) => {
    const Gateway = (() =>
      class {
        hi(): unknown {
          return { event: 'hi' };
        }
      })();
    SubscribeMessage('hi')(
      Gateway.prototype,
      'hi',
      Object.getOwnPropertyDescriptor(Gateway.prototype, 'hi')!,
    );
    gateway()(Gateway);
    return { providers: [Gateway] };
  }),
  scenario(
    'names of handlers: symbols, computed, static, private',
    ({ gateway }) => {
      @gateway()
      class Gateway {
        @SubscribeMessage(COMPUTED) [COMPUTED](): unknown {
          return { event: 'computed' };
        }
        @SubscribeMessage('hi') [EVENT](): unknown {
          return { event: 'by a symbol' };
        }
        @SubscribeMessage('other') static other(): unknown {
          return { event: 'static' };
        }
      }
      return { providers: [Gateway] };
    },
    async (session) => {
      const ada = await session.connect('ada');
      for (const event of [COMPUTED, 'hi', 'other']) await ada.send(event);
    },
  ),
  scenario(
    'events from enums, numbers, objects',
    ({ gateway }) => {
      @gateway()
      class Gateway {
        @SubscribeMessage(Events.hi) hi(): unknown {
          return { event: 'enum' };
        }
        @SubscribeMessage(Events.other as never) other(): unknown {
          return { event: 'number' };
        }
        @SubscribeMessage({ cmd: 'x' } as never) object(): unknown {
          return { event: 'object' };
        }
        @SubscribeMessage('' as never) empty(): unknown {
          return { event: 'empty' };
        }
      }
      return { providers: [Gateway] };
    },
    async (session) => {
      const ada = await session.connect('ada');
      for (const event of ['hi', 1, '1', { cmd: 'x' }, '[object Object]', ''])
        await ada.send(event);
    },
  ),
  scenario('the same event twice in one gateway', ({ gateway, note }) => {
    @gateway()
    class Gateway {
      @SubscribeMessage('hi') first(): unknown {
        note('first');
        return { event: 'first' };
      }
      @SubscribeMessage('hi') second(): unknown {
        note('second');
        return { event: 'second' };
      }
    }
    return { providers: [Gateway] };
  }),
  scenario('two events for one method', ({ gateway }) => {
    @gateway()
    class Gateway {
      @SubscribeMessage('hi')
      @SubscribeMessage('other')
      both(_client: unknown, data: unknown): unknown {
        return { event: 'both', data };
      }
    }
    return { providers: [Gateway] };
  }),
  scenario('handlers as arrow properties', ({ gateway }) => {
    class Gateway {
      hi = (): unknown => ({ event: 'hi' });
    }
    try {
      (SubscribeMessage('hi') as (...args: unknown[]) => unknown)(Gateway.prototype, 'hi', {
        value: undefined,
      });
    } catch {
      // This gateway has no method to decorate.
    }
    gateway()(Gateway);
    return { providers: [Gateway] };
  }),
  scenario('a gateway without handlers and hooks', ({ gateway }) => {
    @gateway()
    class Gateway {}
    return { providers: [Gateway] };
  }),
  scenario('dependencies in properties and in the constructor', ({ gateway }) => {
    @Injectable()
    class Tea {
      name = 'tea';
    }
    @gateway()
    class Gateway {
      @Inject(Tea) readonly property!: Tea;
      constructor(
        @Inject(Tea) readonly argument: Tea,
        @Inject(ModuleRef) readonly ref: ModuleRef,
        @Inject('CUP') readonly cup: string,
      ) {}
      @SubscribeMessage('hi') hi(): unknown {
        const same = this.ref.get(Tea) === this.argument;
        return [this.property.name, this.argument.name, same, this.cup];
      }
    }
    return { providers: [Gateway, Tea, { provide: 'CUP', useFactory: async () => 'cup' }] };
  }),
  scenario('two that need each other', ({ gateway }) => {
    @gateway()
    class First {
      constructor(@Inject(forwardRef(() => Second)) readonly second: { name: string }) {}
      get name(): string {
        return 'first';
      }
      @SubscribeMessage('hi') hi(): unknown {
        return ['first', this.second.name];
      }
    }
    @gateway()
    class Second {
      constructor(@Inject(forwardRef(() => First)) readonly first: First) {}
      get name(): string {
        return 'second';
      }
      @SubscribeMessage('other') other(): unknown {
        return ['second', this.first.name];
      }
    }
    return { providers: [First, Second] };
  }),
];

/** A gateway, and a second gateway on the same path, so that there is always a server. */
const provided: Scenario[] = [
  ...(['useClass', 'useFactory', 'useExisting', 'useValue', 'useClass of another'] as const).map(
    (way) =>
      scenario(`provided by ${way}`, (setting) => {
        const Gateway = plainGateway(setting);
        setting.gateway()(Gateway);
        const providers = {
          useClass: [{ provide: 'TOKEN', useClass: Gateway }],
          useFactory: [{ provide: 'TOKEN', useFactory: () => new Gateway() }],
          useExisting: [Gateway, { provide: 'TOKEN', useExisting: Gateway }],
          useValue: [{ provide: 'TOKEN', useValue: new Gateway() }],
          'useClass of another': [
            Gateway,
            { provide: 'TOKEN', useClass: class Other extends Gateway {} },
          ],
        }[way];
        return { providers };
      }),
  ),
  scenario('provided by useClass, with guards on class and method', ({ gateway, note }) => {
    @Injectable()
    class Guard implements CanActivate {
      readonly made = true;
      canActivate(): boolean {
        note(`guard ${this.made}`);
        return false;
      }
    }
    @gateway()
    class Gateway {
      @UseGuards(Guard)
      @SubscribeMessage('hi')
      hi(): unknown {
        return { event: 'hi' };
      }
    }
    return { providers: [{ provide: 'TOKEN', useClass: Gateway }] };
  }),
  scenario('in a dynamic module', (setting) => {
    const Gateway = plainGateway(setting);
    setting.gateway()(Gateway);
    @Module({})
    class Dynamic {
      static register(): DynamicModule {
        return { module: Dynamic, providers: [Gateway], exports: [Gateway] };
      }
    }
    return { imports: [Dynamic.register()] };
  }),
  scenario('in a global module that is imported twice', (setting) => {
    const Gateway = plainGateway(setting);
    setting.gateway()(Gateway);
    @Global()
    @Module({ providers: [Gateway], exports: [Gateway] })
    class Shared {}
    @Module({ imports: [Shared] })
    class Other {}
    return { imports: [Shared, Other] };
  }),
  scenario('one class in two modules', (setting) => {
    const Gateway = plainGateway(setting);
    setting.gateway()(Gateway);
    @Module({ providers: [Gateway] })
    class First {}
    @Module({ providers: [Gateway] })
    class Second {}
    return { imports: [First, Second] };
  }),
  scenario('in a lazily loaded module', (setting) => {
    const Gateway = plainGateway(setting);
    setting.gateway()(Gateway);
    @Module({ providers: [Gateway] })
    class Lazy {}
    @setting.gateway()
    class Present {
      @SubscribeMessage('other') other(): unknown {
        return { event: 'other' };
      }
    }
    @Injectable()
    class Loader implements OnModuleInit {
      constructor(@Inject(LazyModuleLoader) private readonly loader: LazyModuleLoader) {}
      async onModuleInit(): Promise<void> {
        await this.loader.load(() => Lazy);
      }
    }
    return { providers: [Present, Loader] };
  }),
];

const severalOnPath: Scenario[] = [
  scenario(
    'several on one path',
    ({ gateway, note }) => {
      const make = (name: string): Type => {
        @gateway({ path: '/shared' })
        class Gateway {
          handleConnection(): void {
            note(`connect ${name}`);
          }
          handleDisconnect(): void {
            note(`disconnect ${name}`);
          }
          @SubscribeMessage('both') both(): unknown {
            return { event: 'both', data: name };
          }
        }
        const { prototype } = Gateway;
        Object.defineProperty(prototype, name, { value: () => ({ event: name }) });
        SubscribeMessage(name)(prototype, name, Object.getOwnPropertyDescriptor(prototype, name)!);
        return Gateway;
      };
      return { providers: [make('first'), make('second')] };
    },
    async (session) => {
      const ada = await session.connect('ada', '/shared');
      await ada.send('first');
      await ada.send('second');
      await ada.send('both');
      await ada.close();
      await session.noted('disconnect second');
    },
  ),
  ...(['/a', 'a', '/a/', '', '/', undefined] as const).map((path) =>
    scenario(
      `path ${JSON.stringify(path)}`,
      (setting) => {
        const Gateway = plainGateway(setting);
        setting.gateway(path === undefined ? {} : { path })(Gateway);
        return { providers: [Gateway] };
      },
      async (session) => {
        for (const [index, asked] of ['/a', '/a/', '/', '/?x=1', '/A', '/b', '/a/b'].entries()) {
          const client = await session.connect(
            `user${index} at ${asked}`,
            `${asked}${asked.includes('?') ? '&' : '?'}user=ada`,
          );
          await client.send('hi');
          await client.close();
        }
      },
    ),
  ),
  scenario(
    'path with a parameter',
    (setting) => {
      const Gateway = plainGateway(setting);
      setting.gateway({ path: '/room/:room' })(Gateway);
      return { providers: [Gateway] };
    },
    async (session) => {
      for (const [index, asked] of ['/room/:room', '/room/7', '/room'].entries()) {
        const client = await session.connect(`user${index} at ${asked}`, `${asked}?user=ada`);
        await client.send('hi');
        await client.close();
      }
    },
  ),
];

let ownPort = 0;
const ownPorts: Scenario[] = [undefined, '/own'].map((path) => ({
  title: `gateway: on a port of its own, ${path ? 'with' : 'without'} a path`,
  app: (setting) => {
    const Gateway = plainGateway(setting);
    setting.gateway(ownPort, path ? { path } : {})(Gateway);
    return { providers: [Gateway] };
  },
  before: async () => void (ownPort = await freePort()),
  async script(session) {
    for (const asked of ['/own', '/', '/other']) {
      const address = `ws://127.0.0.1:${ownPort}${asked}?user=ada`;
      const client = await session.connect(`ada at ${asked}`, address);
      await client.send('hi');
      await client.close();
    }
    await session.connect('bob at the application’s port');
  },
}));

export const gateways: readonly Scenario[] = [
  ...written,
  ...provided,
  ...severalOnPath,
  ...ownPorts,
];
