import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Inject, Injectable, type Provider, Scope } from '@nestjs/common';
import {
  type ContextId,
  ContextIdFactory,
  type ContextIdStrategy,
  type HostComponentInfo,
  INQUIRER,
  ModuleRef,
  REQUEST,
} from '@nestjs/core';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  ConnectionRequest,
  disposeWithConnection,
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import { eventually, expectNoLeaks, TestClient } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

let disposed: string[];
let made: number;

beforeEach(() => {
  disposed = [];
  made = 0;
});

/** A resource that records its disposal. */
class Resource {
  constructor(readonly name: string) {}

  [Symbol.asyncDispose](): Promise<void> {
    disposed.push(this.name);
    return Promise.resolve();
  }
}

const sessionOf = ({ userId }: UserExecutionContext): Resource =>
  disposeWithConnection(new Resource(`session of ${userId}`));
const sessionLaterOf = async (context: UserExecutionContext): Promise<Resource> =>
  sessionOf(context);

let server: TestApp;
afterEach(async () => {
  ContextIdFactory.apply(undefined as never);
  await server.close();
});

async function start(providers: Provider[]): Promise<void> {
  server = await startApp({ providers });
}

const open = (user: string): Promise<TestClient> =>
  TestClient.open(server.url(`/owner?user=${user}`));

/** Opens and closes a connection, and waits until it has left nothing behind. */
async function visit(user: string): Promise<void> {
  const client = await open(user);
  await client.ask('hi');
  await client.close();
  await expectNoLeaks(server.app);
}

/** Returns a gateway that injects these tokens. */
function gatewayWith(...tokens: (string | symbol | (new (...args: never[]) => unknown))[]) {
  @IsolatedGateway({ path: '/owner' })
  class OwnerGateway {
    readonly parts: readonly unknown[];

    constructor(
      readonly context: UserExecutionContext,
      readonly manager: WebSocketManager,
      ...parts: unknown[]
    ) {
      this.parts = parts;
    }

    @SubscribeMessage('hi') hi(): unknown {
      return { event: 'hi' };
    }

    [Symbol.dispose](): void {
      disposed.push('gateway');
    }
  }
  tokens.forEach((token, index) => Inject(token)(OwnerGateway, undefined, index + 2));
  Reflect.defineMetadata(
    'design:paramtypes',
    [UserExecutionContext, WebSocketManager, ...tokens.map(() => Object)],
    OwnerGateway,
  );
  return OwnerGateway;
}

// Nest creates the first scope of an app, and the library creates the later ones.
const EACH_SCOPE = ['first', 'second', 'third'];

describe('the product of a factory', () => {
  it('belongs to the factory: a pool that connections share is not disposed of', async () => {
    const pool = new Resource('pool');
    const pools = { of: () => pool };
    await start([
      { provide: 'Pools', useValue: pools },
      {
        provide: 'Pool',
        scope: Scope.REQUEST,
        inject: [REQUEST, 'Pools'],
        useFactory: (_request: unknown, given: typeof pools) => given.of(),
      },
      gatewayWith('Pool'),
    ]);
    for (const user of EACH_SCOPE) await visit(user);
    expect(disposed).toEqual(['gateway', 'gateway', 'gateway']);
  });

  it.each(['sync', 'async'])(
    'is disposed of with the connection if the %s factory hands it over, after the providers that inject it',
    async (kind) => {
      @Injectable({ scope: Scope.REQUEST })
      class Draft extends Resource {
        constructor(@Inject('Session') readonly session: Resource) {
          super('draft');
        }
      }
      await start([
        Draft,
        {
          provide: 'Session',
          scope: Scope.REQUEST,
          inject: [UserExecutionContext],
          useFactory: kind === 'sync' ? sessionOf : sessionLaterOf,
        },
        gatewayWith('Session', Draft),
      ]);
      for (const user of EACH_SCOPE) await visit(user);
      expect(disposed).toEqual(
        EACH_SCOPE.flatMap((user) => ['gateway', 'draft', `session of ${user}`]),
      );
    },
  );

  it('is disposed of once if several tokens lead to it, and not at all if none of them owns it', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Own extends Resource {
      constructor(readonly context: UserExecutionContext) {
        super('own');
      }
    }
    const value = new Resource('value');
    const scope = Scope.REQUEST;
    await start([
      Own,
      { provide: 'Value', useValue: value },
      { provide: 'AliasOfOwn', useExisting: Own },
      { provide: 'AliasOfValue', useExisting: 'Value' },
      { provide: 'SameOwn', scope, inject: [Own], useFactory: (own: Own) => own },
      {
        provide: 'ValueOfFactory',
        scope,
        inject: [REQUEST, 'Value'],
        useFactory: (_request: unknown, given: Resource) => Promise.resolve(given),
      },
      {
        provide: 'Session',
        scope,
        inject: [REQUEST],
        useFactory: () => disposeWithConnection(new Resource('session')),
      },
      {
        provide: 'SameSession',
        scope,
        inject: ['Session'],
        useFactory: (session: Resource) => disposeWithConnection(session),
      },
      gatewayWith(
        'AliasOfOwn',
        'AliasOfValue',
        'SameOwn',
        'ValueOfFactory',
        'Session',
        'SameSession',
      ),
    ]);
    for (const user of EACH_SCOPE) {
      disposed = [];
      await visit(user);
      expect(disposed.toSorted()).toEqual(['gateway', 'own', 'session']);
    }
  });

  it('must be disposable', async () => {
    await start([gatewayWith()]);
    const promised = Promise.resolve(new Resource('session'));
    for (const product of [{}, promised, () => undefined]) {
      expect(() => disposeWithConnection(product)).toThrow('disposeWithConnection() expects');
    }
  });
});

@Injectable({ scope: Scope.TRANSIENT })
class Inner extends Resource {
  constructor(@Inject(INQUIRER) readonly inquirer: object) {
    super(`inner ${(made += 1)}`);
  }
}

@Injectable({ scope: Scope.TRANSIENT })
class Helper extends Resource {
  constructor(readonly inner: Inner) {
    super(`helper ${(made += 1)}`);
  }
}

@Injectable({ scope: Scope.REQUEST })
class Desk extends Resource {
  constructor(readonly helper: Helper) {
    super('desk');
  }
}

@Injectable({ scope: Scope.REQUEST })
class Shelf extends Resource {
  @Inject(Helper) readonly helper!: Helper;

  constructor(readonly context: UserExecutionContext) {
    super('shelf');
  }
}

@Injectable()
class Singleton extends Resource {
  constructor(readonly helper: Helper) {
    super('singleton');
  }
}

describe('a transient helper', () => {
  it('is disposed of once with its connection, after the providers that need it', async () => {
    await start([
      Inner,
      Helper,
      Desk,
      Shelf,
      Singleton,
      gatewayWith(Desk, Shelf, Helper, Singleton),
    ]);
    const ofSingleton = made;
    expect(ofSingleton).toBeGreaterThan(0);
    for (const user of EACH_SCOPE) {
      disposed = [];
      const before = made;
      await visit(user);
      const helpers = disposed.filter((name) => name.startsWith('helper'));
      const inners = disposed.filter((name) => name.startsWith('inner'));
      // The helpers of the gateway, of the desk and of the shelf.
      expect(helpers).toHaveLength(3);
      expect(helpers.length + inners.length).toBe(made - before);
      expect(new Set(disposed).size).toBe(disposed.length);
      for (const name of ['gateway', 'desk', 'shelf']) {
        expect(disposed.indexOf(name)).toBeLessThan(disposed.indexOf(helpers[0]!));
      }
      expect(disposed.indexOf(helpers.at(-1)!)).toBeLessThan(disposed.indexOf(inners[0]!));
      expect(disposed).not.toContain('singleton');
    }
  });

  it.each(['[Symbol.dispose]', 'onModuleDestroy'])('is disposed of by its %s too', async (kind) => {
    const method = kind === 'onModuleDestroy' ? kind : Symbol.dispose;
    @Injectable({ scope: Scope.TRANSIENT })
    class Other {
      [method as 'onModuleDestroy'](): void {
        disposed.push(kind);
      }
    }
    await start([Other, gatewayWith(Other)]);
    for (const user of EACH_SCOPE) await visit(user);
    expect(disposed.filter((name) => name === kind)).toHaveLength(3);
    disposed = [];
    await server.close();
    expect(disposed).toEqual([]);
  });

  it('resolved through ModuleRef is disposed of with its connection, and one outside of any is not', async () => {
    @Injectable({ scope: Scope.REQUEST })
    class Lazy {
      constructor(
        @Inject(REQUEST) readonly request: ConnectionRequest,
        readonly moduleRef: ModuleRef,
      ) {}

      resolve(): Promise<Inner> {
        return this.moduleRef.resolve(Inner, ContextIdFactory.getByRequest(this.request), {
          strict: false,
        });
      }
    }
    @IsolatedGateway({ path: '/owner' })
    class LazyGateway {
      constructor(readonly lazy: Lazy) {}

      @SubscribeMessage('hi') async hi(): Promise<unknown> {
        return { event: 'hi', data: (await this.lazy.resolve()).name };
      }
    }
    await start([Inner, Lazy, LazyGateway]);
    const elsewhere = await server.app.get(ModuleRef).resolve(Inner, undefined, { strict: false });
    const names: string[] = [];
    for (const user of EACH_SCOPE) {
      const client = await open(user);
      names.push((await client.ask('hi')).data as string);
      await client.close();
    }
    await eventually(() => expect(disposed).toEqual(names));
    expect(names).not.toContain(elsewhere.name);
  });

  it('of a shared durable provider outlives each connection', async () => {
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Tenant extends Resource {
      constructor(readonly helper: Helper) {
        super('tenant');
      }
    }
    const shared = ContextIdFactory.create();
    class OneTenant implements ContextIdStrategy {
      attach(contextId: ContextId): (info: HostComponentInfo) => ContextId {
        return ({ isTreeDurable }) => (isTreeDurable ? shared : contextId);
      }
    }
    ContextIdFactory.apply(new OneTenant());
    await start([Inner, Helper, Tenant, Desk, gatewayWith(Tenant, Desk)]);
    for (const user of EACH_SCOPE) await visit(user);
    expect(disposed).not.toContain('tenant');
    // Only the helpers of the three desks.
    expect(disposed.filter((name) => name.startsWith('helper'))).toHaveLength(3);
  });
});
