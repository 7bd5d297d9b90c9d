import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CanActivate,
  Controller,
  forwardRef,
  Get,
  Inject,
  Injectable,
  type LoggerService,
  type Provider,
  Scope,
  type Type,
  UseGuards,
} from '@nestjs/common';
import {
  type ContextId,
  ContextIdFactory,
  type ContextIdResolver,
  type ContextIdStrategy,
  type HostComponentInfo,
  ModuleRef,
  REQUEST,
} from '@nestjs/core';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  ConnectionRequest,
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { LiveCount } from '../support/live-count.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** The strategy of Nest's documentation: one scope per tenant, with the tenant as its payload. */
class ByTenant implements ContextIdStrategy {
  readonly #tenants = new Map<string, ContextId>();

  constructor(
    private readonly payloadOf: (tenantId: string, request: unknown) => unknown = (tenantId) => ({
      tenantId,
    }),
  ) {}

  attach(contextId: ContextId, request: unknown): ContextIdResolver {
    const tenantId = (request as ConnectionRequest).headers['x-tenant-id']!;
    const tenant = this.#tenants.get(tenantId) ?? ContextIdFactory.create();
    this.#tenants.set(tenantId, tenant);
    return {
      resolve: ({ isTreeDurable }: HostComponentInfo) => (isTreeDurable ? tenant : contextId),
      payload: this.payloadOf(tenantId, request),
    };
  }
}

let pools: number;
let currentUsers: (string | undefined)[];

@Injectable({ scope: Scope.REQUEST, durable: true })
class Pool {
  readonly number = (pools += 1);

  constructor(@Inject(REQUEST) readonly request: unknown) {
    currentUsers.push(userNow());
  }
}

function userNow(): string | undefined {
  try {
    return UserExecutionContext.current().userId;
  } catch {
    return undefined;
  }
}

/** Has no scope of its own, so it is durable because its dependencies are. */
@Injectable()
class Repository {
  constructor(readonly pool: Pool) {}
}

@Injectable({ scope: Scope.REQUEST })
class Draft {
  constructor(
    readonly pool: Pool,
    readonly repository: Repository,
    readonly context: UserExecutionContext,
    @Inject(REQUEST) readonly request: unknown,
  ) {}
}

@IsolatedGateway({ path: '/tenant' })
class DraftGateway {
  constructor(private readonly draft: Draft) {}

  @SubscribeMessage('who')
  who(): unknown {
    const { pool, repository, context, request } = this.draft;
    const data = {
      user: context.userId,
      isConnection: request instanceof ConnectionRequest,
      pool: pool.number,
      isOnePool: repository.pool === pool,
      payload: pool.request ?? 'none',
    };
    return { event: 'who', data };
  }
}

/** All its dependencies are durable, so Nest treats it as durable too. */
@IsolatedGateway({ path: '/durable' })
class PoolGateway {
  #asked = 0;

  constructor(private readonly pool: Pool) {}

  @SubscribeMessage('who')
  who(): unknown {
    this.#asked += 1;
    return { event: 'who', data: { asked: this.#asked, pool: this.pool.number } };
  }
}

@Controller('pool')
class PoolController {
  constructor(private readonly pool: Pool) {}

  @Get()
  read(): unknown {
    return { pool: this.pool.number, payload: this.pool.request };
  }
}

let server: TestApp;
const errors: string[] = [];
const logger: LoggerService = {
  log: () => undefined,
  warn: () => undefined,
  error: (...lines: unknown[]) => void errors.push(lines.map(String).join(' ')),
};

async function start(providers: Provider[], controllers: Type[] = []): Promise<void> {
  server = await startApp({
    providers,
    controllers,
    logger,
    options: { handshake: { keepHeaders: ['x-tenant-id'] } },
  });
}

function open(user: string, tenant: string, path = '/tenant'): Promise<TestClient> {
  const headers = { 'x-tenant-id': tenant };
  return TestClient.open(server.url(`${path}?user=${user}`), { headers });
}

async function ask(client: TestClient, event = 'who'): Promise<unknown> {
  return (await client.ask(event)).data;
}

async function read(tenant: string): Promise<unknown> {
  const url = server.url('/pool').replace('ws:', 'http:');
  return (await fetch(url, { headers: { 'x-tenant-id': tenant } })).json();
}

const asked = (user: string, pool: number, payload: unknown): unknown => ({
  user,
  isConnection: true,
  pool,
  isOnePool: true,
  payload,
});

beforeEach(() => {
  pools = 0;
  currentUsers = [];
  errors.length = 0;
  ContextIdFactory.apply(new ByTenant());
});

afterEach(async () => {
  ContextIdFactory.apply(undefined as never);
  await server.close();
});

describe('the REQUEST of a durable provider', () => {
  it('is the payload of the strategy, for every connection and request of the tenant', async () => {
    await start([Pool, Repository, Draft, DraftGateway], [PoolController]);
    const first = await open('ada', 'B');
    expect(await ask(first)).toEqual(asked('ada', 1, { tenantId: 'B' }));
    const second = await open('bob', 'B');
    expect(await ask(second)).toEqual(asked('bob', 1, { tenantId: 'B' }));
    expect(await read('B')).toEqual({ pool: 1, payload: { tenantId: 'B' } });
    await first.close();
    expect(await ask(second)).toEqual(asked('bob', 1, { tenantId: 'B' }));
    const other = await open('cleo', 'C');
    expect(await ask(other)).toEqual(asked('cleo', 2, { tenantId: 'C' }));
  });

  it('is the payload even if an HTTP request created the provider', async () => {
    await start([Pool, Repository, Draft, DraftGateway], [PoolController]);
    expect(await read('B')).toEqual({ pool: 1, payload: { tenantId: 'B' } });
    const client = await open('ada', 'B');
    expect(await ask(client)).toEqual(asked('ada', 1, { tenantId: 'B' }));
  });

  it('is undefined without a payload, as in Nest, and never a connection', async () => {
    ContextIdFactory.apply(new ByTenant(() => undefined));
    await start([Pool, Repository, Draft, DraftGateway]);
    const client = await open('ada', 'B');
    expect(await ask(client)).toEqual(asked('ada', 1, 'none'));
  });

  it('is the payload if the strategy keeps the provider in the scope of the connection', async () => {
    ContextIdFactory.apply({
      attach: (contextId) => ({ resolve: () => contextId, payload: { tenantId: 'own' } }),
    });
    await start([Pool, Repository, Draft, DraftGateway]);
    const first = await open('ada', 'B');
    const second = await open('bob', 'B');
    expect(await ask(first)).toEqual(asked('ada', 1, { tenantId: 'own' }));
    expect(await ask(second)).toEqual(asked('bob', 2, { tenantId: 'own' }));
  });

  it('is the payload while several connections create the provider at the same time', async () => {
    await start([Pool, Repository, Draft, DraftGateway]);
    const users = ['ada', 'bob', 'cleo', 'dan'];
    const clients = await Promise.all(users.map((user) => open(user, 'B')));
    const answers = await Promise.all(clients.map((client) => ask(client)));
    expect(answers).toEqual(users.map((user) => asked(user, 1, { tenantId: 'B' })));
  });

  it('is the payload if a handler resolves the provider through ModuleRef', async () => {
    @IsolatedGateway({ path: '/tenant' })
    class ByHand {
      constructor(
        private readonly moduleRef: ModuleRef,
        @Inject(REQUEST) private readonly request: unknown,
      ) {}

      @SubscribeMessage('who')
      async who(): Promise<unknown> {
        const contextId = ContextIdFactory.getByRequest(this.request as object);
        const draft = await this.moduleRef.resolve(Draft, contextId, { strict: false });
        const pool = await this.moduleRef.resolve(Pool, contextId, { strict: false });
        const { userId } = draft.context;
        const isOne = draft.pool === pool;
        return { event: 'who', data: { userId, isOne, payload: pool.request } };
      }
    }
    await start([Pool, Repository, Draft, ByHand]);
    for (const userId of ['ada', 'bob', 'cleo']) {
      const client = await open(userId, 'B');
      const data = { userId, isOne: true, payload: { tenantId: 'B' } };
      expect(await ask(client)).toEqual(data);
    }
    expect(pools).toBe(1);
  });

  it('is the payload in a durable guard', async () => {
    const seen: unknown[] = [];
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class TenantGuard implements CanActivate {
      constructor(@Inject(REQUEST) private readonly request: unknown) {}

      canActivate(): boolean {
        seen.push(this.request);
        return true;
      }
    }
    @UseGuards(TenantGuard)
    @IsolatedGateway({ path: '/tenant' })
    class Guarded {
      @SubscribeMessage('who') who(): unknown {
        return { event: 'who', data: 'guarded' };
      }
    }
    await start([Guarded]);
    for (const user of ['ada', 'bob']) expect(await ask(await open(user, 'B'))).toBe('guarded');
    expect(new Set(seen.map((value) => JSON.stringify(value)))).toEqual(
      new Set([JSON.stringify({ tenantId: 'B' })]),
    );
  });

  it.each<[string, (tenantId: string, request: unknown) => unknown]>([
    ['the connection', (_tenantId, request) => request],
    ['an object that holds the connection', (tenantId, request) => ({ tenantId, request })],
    [
      'an object that holds its context',
      (_tenantId, request) => ({ context: (request as ConnectionRequest).context }),
    ],
  ])('refuses connections when the payload is %s', async (_name, payloadOf) => {
    ContextIdFactory.apply(new ByTenant(payloadOf));
    await start([Pool, Repository, Draft, DraftGateway]);
    await expect(open('ada', 'B')).rejects.toMatchObject({ status: 500 });
    await eventually(() => expect(errors.join()).toContain('payload of the ContextIdStrategy'));
    expect(pools).toBe(0);
  });
});

describe('a dependency of a durable provider', () => {
  it('is created without the identity of the first connection: constructors, helpers, scoped providers', async () => {
    const seen: unknown[] = [];
    @Injectable({ scope: Scope.TRANSIENT })
    class Helper {
      constructor(@Inject(REQUEST) request: unknown) {
        seen.push(request, userNow());
      }
    }
    @Injectable({ scope: Scope.REQUEST })
    class Session {
      constructor(@Inject(REQUEST) request: unknown) {
        seen.push(request, userNow());
      }
    }
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Tenant {
      @Inject(REQUEST) readonly request: unknown;

      constructor(
        readonly helper: Helper,
        readonly session: Session,
        readonly pool: Pool,
      ) {}
    }
    @IsolatedGateway({ path: '/tenant' })
    class TenantGateway {
      constructor(
        private readonly tenant: Tenant,
        private readonly context: UserExecutionContext,
      ) {}

      @SubscribeMessage('who') who(): unknown {
        const { request } = this.tenant;
        return { event: 'who', data: { user: this.context.userId, request } };
      }
    }
    await start([Pool, Helper, Session, Tenant, TenantGateway]);
    for (const user of ['ada', 'bob']) {
      expect(await ask(await open(user, 'B'))).toEqual({ user, request: { tenantId: 'B' } });
    }
    expect(seen).toEqual([{ tenantId: 'B' }, undefined, { tenantId: 'B' }, undefined]);
    expect(currentUsers).toEqual([undefined]);
  });

  it('is complete before the connection is ready, even in circular dependencies', async () => {
    @Injectable()
    class Database {
      readonly name = 'db';
    }
    const slow: Provider = {
      provide: Database,
      scope: Scope.REQUEST,
      durable: true,
      inject: [REQUEST],
      useFactory: () => new Promise((resolve) => setImmediate(() => resolve(new Database()))),
    };
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Left {
      constructor(
        @Inject(forwardRef(() => Right)) readonly right: unknown,
        readonly database: Database,
      ) {}
    }
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Right {
      constructor(@Inject(forwardRef(() => Left)) readonly left: unknown) {}
    }
    @IsolatedGateway({ path: '/tenant' })
    class Circle {
      constructor(
        private readonly left: Left,
        readonly context: UserExecutionContext,
      ) {}

      @SubscribeMessage('who') who(): unknown {
        const { left } = this.left.right as Right;
        return { event: 'who', data: [(left as Left).database.name, left === this.left] };
      }
    }
    await start([slow, Left, Right, Circle]);
    for (const user of ['ada', 'bob']) {
      expect(await ask(await open(user, 'B'))).toEqual(['db', true]);
    }
  });

  it('keeps no reference to the connection that needed it first', async () => {
    const requests = new LiveCount();
    const payloadOf = (tenantId: string, request: unknown): unknown => {
      requests.watch(request as object);
      return { tenantId };
    };
    ContextIdFactory.apply(new ByTenant(payloadOf));
    await start([Pool, Repository, Draft, DraftGateway]);
    for (const user of ['ada', 'bob', 'cleo']) {
      const client = await open(user, 'B');
      expect(await ask(client)).toEqual(asked(user, 1, { tenantId: 'B' }));
      await client.close();
    }
    expect(requests.watched).toBe(3);
    // Node.js may still hold a reference to the last request.
    await eventually(async () => expect(await requests.alive()).toBeLessThanOrEqual(1));
  });

  it('may fail for one connection, and is created again for the next', async () => {
    let isDown = true;
    @Injectable({ scope: Scope.REQUEST, durable: true })
    class Flaky {
      constructor(@Inject(REQUEST) readonly request: unknown) {
        if (isDown) throw new Error('the database is down');
      }
    }
    @IsolatedGateway({ path: '/tenant' })
    class FlakyGateway {
      constructor(
        private readonly flaky: Flaky,
        readonly context: UserExecutionContext,
      ) {}

      @SubscribeMessage('who') who(): unknown {
        return { event: 'who', data: this.flaky.request };
      }
    }
    await start([Flaky, FlakyGateway]);
    await expect(open('ada', 'B')).rejects.toMatchObject({ status: 500 });
    isDown = false;
    expect(await ask(await open('bob', 'B'))).toEqual({ tenantId: 'B' });
  });
});

describe('an isolated gateway', () => {
  it('has an instance per connection even if all its dependencies are durable', async () => {
    await start([Pool, PoolGateway]);
    const first = await open('ada', 'B', '/durable');
    const second = await open('bob', 'B', '/durable');
    expect(await ask(first)).toEqual({ asked: 1, pool: 1 });
    expect(await ask(first)).toEqual({ asked: 2, pool: 1 });
    expect(await ask(second)).toEqual({ asked: 1, pool: 1 });
  });

  it('has an instance per connection even if it is declared durable itself', async () => {
    @Injectable({ scope: Scope.REQUEST, durable: true })
    @IsolatedGateway({ path: '/durable' })
    class Declared {
      constructor(
        private readonly context: UserExecutionContext,
        private readonly manager: WebSocketManager,
      ) {}

      @SubscribeMessage('who') who(): unknown {
        const isOne = this.manager.context === this.context;
        return { event: 'who', data: { user: this.context.userId, isOne } };
      }
    }
    await start([Declared]);
    for (const user of ['ada', 'bob']) {
      expect(await ask(await open(user, 'B', '/durable'))).toEqual({ user, isOne: true });
    }
  });

  it('has its own transient helpers, even if they need durable providers only', async () => {
    @Injectable({ scope: Scope.TRANSIENT })
    class Counter {
      count = 0;
      constructor(readonly pool: Pool) {}
    }
    @IsolatedGateway({ path: '/durable' })
    class Counting {
      constructor(private readonly counter: Counter) {}

      @SubscribeMessage('who') who(): unknown {
        this.counter.count += 1;
        return { event: 'who', data: [this.counter.count, this.counter.pool.number] };
      }
    }
    await start([Pool, Counter, Counting]);
    for (const user of ['ada', 'bob']) {
      expect(await ask(await open(user, 'B', '/durable'))).toEqual([1, 1]);
    }
  });
});
