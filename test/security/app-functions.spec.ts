import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type CanActivate, Injectable, Logger, Scope, type Type } from '@nestjs/common';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  type ConnectionAuthenticator,
  IsolatedGateway,
  IsolatedWsAdapter,
  type IsolatedWsAdapterOptions,
  LeakDetector,
  type WebSocketIsolationOptions,
} from 'nestjs-websocket-isolation';
import {
  type DashboardModuleOptions,
  WebSocketIsolationDashboardModule,
} from 'nestjs-websocket-isolation/dashboard';
import { eventually, FakeClock, TestClient } from 'nestjs-websocket-isolation/testing';
import { of } from 'rxjs';

import { HandshakeService } from '../../src/handshake/handshake.service.js';
import { Tracing } from '../../src/monitoring/tracing.js';
import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/ask' })
class AskGateway {
  @SubscribeMessage('ask')
  ask() {
    return { event: 'answer', data: 1 };
  }
}

let app: TestApp | undefined;
const lines: string[] = [];
const write = (...parts: unknown[]): void => void lines.push(parts.map(String).join(' '));

// Jest fails a test with an unhandled rejection.
beforeEach(() => {
  lines.length = 0;
});

afterEach(async () => {
  await app?.close();
  app = undefined;
  Logger.overrideLogger(false);
});

/** A behaviour of a function of the app: its name, the function, and the expected log text. */
type Behaviour = readonly [name: string, behave: () => unknown, said?: RegExp];

const throwing = (): never => {
  throw new Error('planned failure');
};
const hostileThenable = (): unknown => ({
  // oxlint-disable-next-line unicorn/no-thenable -- as an app may, by mistake
  then: () => throwing(),
});
const REFUSING: readonly Behaviour[] = [
  ['false', () => false],
  ['a promise of false', async () => false],
  ['an observable of false', () => of(false)],
];
const NONSENSE: readonly Behaviour[] = [
  ["'no'", () => 'no', /returned 'no'/],
  ["a promise of 'no'", async () => 'no', /returned 'no'/],
  ['1', () => 1, /returned 1\b/],
  ['an object', () => ({ allowed: false }), /returned an object/],
  ['an array', () => [], /returned an array/],
  ['undefined', () => undefined, /returned undefined/],
  ['null', () => null, /returned null/],
  ['a long text', () => 'x'.repeat(99), /returned a text of 99 characters/],
  ['a wrapped true', () => new Boolean(true), /returned an object of class Boolean/],
];
const FAILING: readonly Behaviour[] = [
  ['a throw', throwing, /planned failure/],
  ['a rejection', () => Promise.reject(new Error('planned failure')), /planned failure/],
  ['a rejection with nothing', () => Promise.reject(undefined), /undefined/],
  ['a thenable that throws', hostileThenable, /planned failure/],
];
const ADMITTING: readonly Behaviour[] = [
  ['true', () => true],
  ['a promise of true', async () => true],
  ['an observable of true', () => of(true)],
];

interface Setup {
  readonly options?: WebSocketIsolationOptions;
  readonly adapter?: IsolatedWsAdapterOptions;
  readonly providers?: Type[];
}

async function start({ options = {}, adapter, providers = [] }: Setup): Promise<TestApp> {
  app = await startApp({
    providers: [AskGateway, ...providers],
    options,
    ...(adapter && {
      prepare: (made) => made.useWebSocketAdapter(new IsolatedWsAdapter(made, adapter)),
    }),
  });
  Logger.overrideLogger({ log: write, warn: write, error: write, debug: write });
  return app;
}

async function connect(): Promise<number> {
  try {
    const client = await TestClient.open(app!.url('/ask?user=ada'), {
      headers: { origin: 'https://elsewhere.example', cookie: 'sid=1' },
    });
    client.terminate();
    return 101;
  } catch (error) {
    return (error as { status: number }).status;
  }
}

function expectNothingLeft(): void {
  expect(app!.app.get(HandshakeService, { strict: false }).pending).toBe(0);
  expect(app!.app.get(LeakDetector).getReport().ledger).toMatchObject({ active: 0 });
}

/** The functions that decide which clients may connect, each as an app passes it. */
const DECIDING: readonly (readonly [
  name: string,
  setup: (behave: () => unknown) => Setup,
  no: number,
  failed: number,
])[] = [
  [
    'allowedOrigins',
    (behave) => ({ options: { handshake: { allowedOrigins: behave as never, timeoutMs: 5_000 } } }),
    403,
    403,
  ],
  [
    'verifyClient',
    (behave) => ({
      options: { handshake: { allowedOrigins: '*', timeoutMs: 5_000 } },
      adapter: { verifyClient: (_info: unknown) => behave() },
    }),
    401,
    500,
  ],
  [
    'verifyClient with a callback',
    (behave) => ({
      options: { handshake: { allowedOrigins: '*', timeoutMs: 5_000 } },
      adapter: {
        verifyClient: (async (_info: unknown, done: (answer: unknown) => void) =>
          done(await behave())) as never,
      },
    }),
    401,
    500,
  ],
];

describe.each(DECIDING)('%s', (name, setup, no, failed) => {
  const isCallback = name.endsWith('callback');
  // The callback gets values that `await` has settled, so observables do not apply.
  const own = (behaviours: readonly Behaviour[]): readonly Behaviour[] =>
    behaviours.filter(([what]) => !isCallback || !what.includes('observable'));

  it.each(own(ADMITTING))('admits with %s', async (_name, behave) => {
    await start(setup(behave));
    expect(await connect()).toBe(101);
  });

  it.each(own(REFUSING))('refuses with %s', async (_name, behave) => {
    await start(setup(behave));
    expect(await connect()).toBe(no);
    expectNothingLeft();
  });

  it.each([...NONSENSE, ...FAILING])(
    'refuses with %s, and logs it',
    async (_name, behave, said) => {
      await start(setup(behave));
      expect(await connect()).toBe(failed);
      expect(lines.join('\n')).toMatch(/connection-refused/);
      expect(lines.join('\n')).toMatch(said!);
      expectNothingLeft();
    },
  );

  it('that never settles is given up at the deadline, and a late result is ignored', async () => {
    const clock = new FakeClock();
    const answers: ((answer: unknown) => void)[] = [];
    const { options, ...rest } = setup(() => new Promise((resolve) => answers.push(resolve)));
    await start({ ...rest, options: { ...options, clock } });
    const status = connect();
    await eventually(() => expect(answers).toHaveLength(1));
    await clock.advance(5_000);
    expect(await status).toBe(408);
    answers[0]!(true);
    await clock.settle();
    expect(app!.app.get(LeakDetector).getReport().ledger).toMatchObject({ created: 0 });
    expectNothingLeft();
  });
});

describe('verifyClient', () => {
  it('sets its own status with its callback', async () => {
    const adapter: IsolatedWsAdapterOptions = {
      verifyClient: (_info, done) => done(false, 429),
    };
    await start({ options: { handshake: { allowedOrigins: '*' } }, adapter });
    expect(await connect()).toBe(429);
  });

  it('runs before a slot is taken, and not if the origin is refused', async () => {
    let asked = 0;
    const verifyClient = (): boolean => {
      asked += 1;
      return false;
    };
    await start({ adapter: { verifyClient } });
    expect(await connect()).toBe(403);
    expect(asked).toBe(0);
    expect(app!.app.get(LeakDetector).getReport().ledger).toMatchObject({ created: 0 });
  });
});

@Injectable()
class SingletonAuthenticator implements ConnectionAuthenticator {
  static behave: () => unknown;
  authenticate() {
    return SingletonAuthenticator.behave() as never;
  }
}

@Injectable({ scope: Scope.REQUEST })
class ScopedAuthenticator implements ConnectionAuthenticator {
  authenticate() {
    return SingletonAuthenticator.behave() as never;
  }
}

describe.each<[string, (behave: () => unknown) => Setup]>([
  ['function', (behave) => ({ options: { authenticator: behave as never } })],
  [
    'provider',
    (behave) => {
      SingletonAuthenticator.behave = behave;
      return {
        options: { authenticator: SingletonAuthenticator },
        providers: [SingletonAuthenticator],
      };
    },
  ],
  [
    'REQUEST-scoped provider',
    (behave) => {
      SingletonAuthenticator.behave = behave;
      return { options: { authenticator: ScopedAuthenticator }, providers: [ScopedAuthenticator] };
    },
  ],
])('an authenticator that is a %s', (_kind, setup) => {
  const run = async (behave: () => unknown): Promise<number> => {
    const { options, ...rest } = setup(behave);
    const handshake = { allowedOrigins: '*', timeoutMs: 5_000 } as const;
    await start({ ...rest, options: { ...options, handshake } });
    return connect();
  };

  it.each<Behaviour>([
    ['an identity', () => ({ userId: 'ada' })],
    ['a promise of one', async () => ({ userId: 'ada' })],
    ['an observable of one', () => of({ userId: 'ada' })],
  ])('admits with %s', async (_name, behave) => {
    expect(await run(behave)).toBe(101);
  });

  it.each<Behaviour>([
    ['undefined', () => undefined, /returned undefined/],
    ['false', () => false, /returned false/],
    ['a promise of an empty text', async () => '', /returned ''/],
  ])('treats %s as null, and logs it', async (_name, behave, said) => {
    expect(await run(behave)).toBe(401);
    expect(lines.join('\n')).toMatch(said!);
    expectNothingLeft();
  });

  it.each<Behaviour>([
    ['true', () => true, /returned true/],
    ['a promise of true', async () => true, /returned true/],
    ['a text', async () => 'ada', /returned 'ada'/],
    ['a number', () => 42, /returned 42/],
    ['an array', () => [{ userId: 'ada' }], /returned an array/],
    ['a function', () => () => ({ userId: 'ada' }), /returned a function/],
    ...FAILING,
  ])('that returns %s causes status 500, and logs it', async (_name, behave, said) => {
    expect(await run(behave)).toBe(500);
    expect(lines.join('\n')).toMatch(said!);
    expectNothingLeft();
  });

  it('whose exception has no valid status causes status 500', async () => {
    const exception = { getStatus: throwing };
    expect(await run(() => Promise.reject(exception))).toBe(500);
    await app!.close();
    expect(await run(() => Promise.reject({ getStatus: () => Number.NaN }))).toBe(500);
  });
});

const askDashboard = async (options: DashboardModuleOptions, clock?: FakeClock) => {
  app = await startApp({
    imports: [WebSocketIsolationDashboardModule.forRoot(options)],
    options: { ...(clock && { clock }), handshake: { timeoutMs: 5_000 } },
  });
  Logger.overrideLogger({ log: write, warn: write, error: write });
  return fetch(app.url('/dashboard/state?viewer=aaaa-bbbb-cccc').replace('ws:', 'http:'));
};
const asClass = (behave: () => unknown): Type<CanActivate> =>
  class Guard implements CanActivate {
    canActivate() {
      return behave() as never;
    }
  };

describe('guards of the dashboard', () => {
  const forms = [
    ['function', (behave: () => unknown) => behave as never],
    ['class', asClass],
  ] as const;

  describe.each(forms)('as a %s', (_form, made) => {
    it.each(ADMITTING)('admit with %s', async (_name, behave) => {
      expect((await askDashboard({ guard: made(behave) })).status).toBe(200);
    });

    it.each(REFUSING)('refuse with %s', async (_name, behave) => {
      expect((await askDashboard({ guard: made(behave) })).status).toBe(403);
    });

    it.each(NONSENSE)('refuse with %s, and log it', async (_name, behave, said) => {
      expect((await askDashboard({ guard: made(behave) })).status).toBe(403);
      expect(lines.join('\n')).toMatch(said!);
    });

    it.each(FAILING)('refuse with %s', async (_name, behave) => {
      expect((await askDashboard({ guard: made(behave) })).status).toBe(500);
    });

    it('that never settle refuse at the deadline', async () => {
      const clock = new FakeClock();
      let isAsked = false;
      const guard = made(() => {
        isAsked = true;
        return new Promise(() => undefined);
      });
      const response = askDashboard({ guard }, clock);
      await eventually(() => expect(isAsked).toBe(true));
      await clock.settle();
      await clock.advance(5_000);
      expect((await response).status).toBe(408);
    });

    it.each([...NONSENSE, ...FAILING])('of actions refuse with %s', async (_name, behave, said) => {
      const response = await askDashboard({ guard: () => true, canAct: made(behave) });
      expect(response.status).toBe(200);
      expect(JSON.stringify(await response.json())).toContain('"mayAct":false');
      expect(lines.join('\n')).toMatch(said!);
    });
  });
});

describe('a messageParser', () => {
  it.each<Behaviour>([
    ['a promise', async () => ({ event: 'ask', data: 1 }), /returned a promise/],
    ['a rejection', () => Promise.reject(new Error('planned failure')), /returned a promise/],
  ])('that returns %s is logged, and the connection stays open', async (_name, behave, said) => {
    const messageParser = (frame: unknown): never => {
      const text = String(frame);
      return (text.includes('later') ? behave() : JSON.parse(text)) as never;
    };
    await start({ adapter: { messageParser } });
    const client = await app!.connect('/ask?user=ada');
    client.send('later');
    expect(await client.ask('ask')).toEqual({ event: 'answer', data: 1 });
    expect(lines.join('\n')).toMatch(said!);
  });

  it.each<Behaviour>([
    ['a text', () => 'ask'],
    ['true', () => true],
    ['a number', () => 42],
    ['nothing', () => undefined],
    ['a throw', throwing],
  ])('that returns %s drops the frame', async (_name, behave) => {
    const messageParser = (frame: unknown): never =>
      (String(frame).includes('odd') ? behave() : JSON.parse(String(frame))) as never;
    await start({ adapter: { messageParser } });
    const client = await app!.connect('/ask?user=ada');
    client.send('odd');
    expect(await client.ask('ask')).toEqual({ event: 'answer', data: 1 });
  });
});

describe('a tracer', () => {
  const step = {
    run: <T>(part: () => T): T => part(),
    fail: () => undefined,
    end: () => undefined,
  };
  const stream = () => ({ run: step.run, fail: step.fail, ended: () => undefined });
  const send = () => ({ run: step.run, ended: () => undefined, failed: () => undefined });
  const handshake = {
    run: step.run,
    admitted: () => undefined,
    refused: () => undefined,
    gone: () => undefined,
  };
  const all = (replaced: object): object =>
    Object.fromEntries(Object.keys(replaced).map((name) => [name, throwing]));

  it.each<[string, object]>([
    ['handshake', { handshake: throwing }],
    ['handshake step', { handshake: () => all(handshake) }],
    ['connect', { connect: throwing }],
    ['connect step', { connect: () => all(step) }],
    ['message', { message: throwing }],
    ['message step', { message: () => all(step) }],
    [
      'run, after the part',
      {
        message: () => ({
          ...step,
          run: (part: () => unknown) => {
            part();
            throwing();
          },
        }),
      },
    ],
  ])('that throws in its %s loses only its span', async (_name, broken) => {
    await start({});
    const steps = { connect: () => step, message: () => step, renewal: () => step };
    const whole = {
      stream,
      send,
      handshake: () => handshake,
      ask: () => step,
      ...steps,
    };
    app!.app.get(Tracing, { strict: false }).use({ ...whole, ...broken });
    const client = await app!.connect('/ask?user=ada');
    expect(await client.ask('ask')).toEqual({ event: 'answer', data: 1 });
    expect(lines.filter((line) => line.includes('The tracer failed'))).toHaveLength(1);
  });
});
