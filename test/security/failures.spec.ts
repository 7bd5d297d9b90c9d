import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  Catch,
  Injectable,
  Logger,
  type LoggerService,
  Scope,
  UseFilters,
  UseInterceptors,
} from '@nestjs/common';
import { MessageBody, SubscribeMessage, WsException } from '@nestjs/websockets';
import {
  type Clock,
  IsolatedGateway,
  LeakDetector,
  systemClock,
  UserExecutionContext,
  WebSocketManager,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import { type Observable, of, throwError } from 'rxjs';

import { startApp, type TestApp } from '../support/test-app.js';

const SECRET = 'pa55word in an error';

/** The ways in which code can fail. */
const ways: Record<string, () => unknown> = {
  throws: () => {
    throw new Error(SECRET);
  },
  rejects: () => Promise.reject(new Error(SECRET)),
  'rejects later': () => new Promise((_, reject) => setTimeout(reject, 1, new Error(SECRET))),
  'throws a text': () => {
    throw SECRET;
  },
  'throws nothing': () => {
    throw undefined;
  },
  'throws an object without a string form': () => {
    throw Object.create(null);
  },
  'throws an error with a throwing getter': () => {
    throw Object.defineProperty(new Error(), 'message', { get: ways['throws']! });
  },
  'rejects with an object without a string form': () => Promise.reject(Object.create(null)),
  'answers data whose toJSON throws': () => ({ event: 'x', data: { toJSON: ways['throws'] } }),
  'answers a circular object': () => {
    const data: Record<string, unknown> = {};
    data['self'] = data;
    return { event: 'x', data };
  },
  'answers a BigInt': () => ({ event: 'x', data: 1n }),
  'answers a stream that fails': () => throwError(() => new Error(SECRET)),
  'answers a promise of a stream that fails': () =>
    Promise.resolve(throwError(() => new Error(SECRET))),
  // oxlint-disable-next-line unicorn/no-thenable -- an app may return such an object
  'answers a thenable that throws': () => ({ then: ways['throws'] }),
};

@Catch()
class FailingFilter {
  catch(): unknown {
    return ways['rejects']!();
  }
}

@Injectable()
class FailingInterceptor {
  intercept(): Observable<unknown> {
    return throwError(() => new Error(SECRET));
  }
}

@Injectable({ scope: Scope.REQUEST })
class FailingResource {
  constructor(readonly context: UserExecutionContext) {}
  [Symbol.asyncDispose](): unknown {
    return this.context.userId.startsWith('dispose:') ? fail(this.context) : undefined;
  }
}

function fail({ userId }: UserExecutionContext): unknown {
  return ways[userId.slice(userId.indexOf(':') + 1)]!();
}

@IsolatedGateway({ path: '/fail' })
class FailingGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
    readonly resource: FailingResource,
  ) {}

  handleConnection(): unknown {
    if (this.context.userId.startsWith('onDispose:')) {
      this.manager.onDispose(() => fail(this.context));
    }
    return this.context.userId.startsWith('connect:') ? fail(this.context) : undefined;
  }

  handleDisconnect(): unknown {
    return this.context.userId.startsWith('disconnect:') ? fail(this.context) : undefined;
  }

  @SubscribeMessage('fail') fail(@MessageBody() way: string): unknown {
    return ways[way]!();
  }

  @UseFilters(FailingFilter)
  @SubscribeMessage('filtered')
  filtered(): unknown {
    return ways['throws']!();
  }

  @UseInterceptors(FailingInterceptor)
  @SubscribeMessage('intercepted')
  intercepted(): unknown {
    return of(1);
  }

  @SubscribeMessage('told') told(): never {
    throw new WsException('your tea is cold');
  }

  @SubscribeMessage('caused') caused(): never {
    throw Object.assign(new WsException({ status: 418 }), { cause: SECRET });
  }

  @SubscribeMessage('throw-back') throwBack(@MessageBody() data: unknown): never {
    throw data;
  }
}

/** The log lines of the application. */
const lines: string[] = [];
const write = (...parts: unknown[]): void => void lines.push(parts.map(String).join(' '));
const logger: LoggerService = { log: write, error: write, warn: write };

/** Uncaught errors and rejections, which would end a process outside of tests. */
const escaped: unknown[] = [];
const escape = (error: unknown): void => void escaped.push(error);

/** Advances between tests, because the log limits lines per second. */
let skewMs = 0;
const clock: Clock = { ...systemClock, now: () => systemClock.now() + skewMs };
const clients: TestClient[] = [];

let testApp: TestApp;
beforeAll(async () => {
  const providers = [FailingGateway, FailingResource];
  testApp = await startApp({ providers, options: { clock } });
  process.on('uncaughtException', escape).on('unhandledRejection', escape);
});
afterEach(() => {
  for (const client of clients.splice(0)) client.terminate();
  lines.length = 0;
  skewMs += 1_000;
});
afterAll(async () => {
  process.off('uncaughtException', escape).off('unhandledRejection', escape);
  await testApp.close();
});

async function open(user: string): Promise<TestClient> {
  const client = await TestClient.open(testApp.url(`/fail?user=${encodeURIComponent(user)}`));
  clients.push(client);
  return client;
}

async function logged(work: () => Promise<void>): Promise<string> {
  Logger.overrideLogger(logger);
  try {
    await work();
    return lines.join('\n');
  } finally {
    Logger.overrideLogger(false);
  }
}

/** Checks that no error was uncaught, and that other clients are served. */
async function expectUnharmed(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 2));
  expect(escaped).toEqual([]);
  const other = await open('other');
  expect((await other.ask('told')).event).toBe('exception');
  await other.close();
  await eventually(() =>
    expect(testApp.app.get(LeakDetector).getReport().ledger).toMatchObject({ active: 0 }),
  );
}

function throwing(): never {
  throw new Error('the disk is full');
}

const failures = Object.keys(ways).filter((way) => !way.startsWith('answers'));

describe('a handler that', () => {
  it.each(Object.keys(ways))('%s, replies with a generic error', async (way) => {
    const client = await open('ada');
    const log = await logged(async () => {
      expect(await client.ask('fail', way, 'm-7')).toEqual({
        event: 'exception',
        data: {
          status: 'error',
          code: 'INTERNAL_ERROR',
          message: 'Internal server error',
          id: 'm-7',
        },
      });
    });
    expect(log).toContain('handler-failed');
    expect(client.closeCode).toBeUndefined();
    await client.close();
    await expectUnharmed();
  });

  it.each(['filtered', 'intercepted'])(
    'is %s by a failing enhancer, replies with a generic error too',
    async (event) => {
      const client = await open('ada');
      expect((await client.ask(event, {}, 7)).data).toMatchObject({
        code: 'INTERNAL_ERROR',
        id: 7,
      });
      await client.close();
      await expectUnharmed();
    },
  );

  it('throws the data of a client, affects no other connection', async () => {
    const client = await open('ada');
    for (const name of ['toString', 'message', 'then', 'getStatus', '__proto__']) {
      const data = Object.fromEntries([[name, {}]]) as unknown;
      expect((await client.ask('throw-back', data)).event).toBe('exception');
    }
    await client.close();
    await expectUnharmed();
  });

  it('throws a WsException, replies with its text, and never with a cause', async () => {
    const client = await open('ada');
    expect((await client.ask('told', {}, 1)).data).toEqual({
      status: 'error',
      code: 'WS_EXCEPTION',
      message: 'your tea is cold',
      id: 1,
    });
    expect((await client.ask('caused', {}, 1)).data).toEqual({ status: 418 });
    await client.close();
  });

  it('fails, is logged with the cause and its stack', async () => {
    const client = await open('ada');
    const log = await logged(async () => {
      await client.ask('fail', 'throws');
      await client.ask('fail', 'throws a text');
    });
    expect(log).toMatch(new RegExp(`handler-failed userId=ada .*event=fail Error: ${SECRET}`));
    expect(log).toContain('failures.spec.ts');
    expect(log).toContain(`cause="${SECRET}"`);
    await client.close();
  });

  it('fails while the logger fails too, still replies', async () => {
    const client = await open('ada');
    Logger.overrideLogger({ log: throwing, error: throwing, warn: throwing });
    try {
      expect((await client.ask('fail', 'throws')).event).toBe('exception');
    } finally {
      Logger.overrideLogger(false);
    }
    await client.close();
    await expectUnharmed();
  });

  it('fails 2,000 times, is logged in ten lines per second, and one that counts the rest', async () => {
    const client = await open('ada');
    const startedAt = performance.now();
    await logged(async () => {
      for (let index = 0; index < 2_000; index += 1) client.send('fail', 'throws a text');
      await eventually(() => expect(client.messages).toHaveLength(2_000));
    });
    const seconds = Math.ceil((performance.now() - startedAt) / 1000);
    expect(lines.length).toBeLessThanOrEqual(10 * (seconds + 1));
    await client.close();
  });
});

describe.each(['connect', 'disconnect', 'dispose', 'onDispose'])('in %s, code that', (place) => {
  it.each(failures)('%s, ends only its own connection', async (way) => {
    const log = await logged(async () => {
      const client = await open(`${place}:${way}`);
      const isRefused = place === 'connect';
      if (!isRefused) client.socket.close(1000);
      expect(await client.closed()).toBe(isRefused ? 1011 : 1000);
      expect(client.closeReason).toBe(isRefused ? 'server error' : '');
      expect(client.messages).toEqual([]);
      await expectUnharmed();
    });
    expect(log).toMatch(/hook-failed|disposal-fault/);
    const saysIt = ['throws', 'rejects', 'rejects later', 'throws a text'].includes(way);
    expect(log.includes(SECRET)).toBe(saysIt);
  });
});
