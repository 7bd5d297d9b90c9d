import { once } from 'node:events';
import { createServer, type Server } from 'node:net';

import {
  type BeforeApplicationShutdown,
  type INestApplication,
  Injectable,
  Module,
  type ModuleMetadata,
  type OnApplicationBootstrap,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  type OnModuleInit,
  type Provider,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SubscribeMessage } from '@nestjs/websockets';

import { freePort, running, textOf } from '../run-scenario.js';
import type { RunningApp, Scenario, Setting, StartKit } from '../scenario.js';
import type { ScriptedClient, Session } from '../session.js';

/** The steps in the life of an app that a scenario may delay or fail. */
const STEPS = [
  'module init',
  'bootstrap',
  'module destroy',
  'before shutdown',
  'shutdown',
  'made',
  'init',
  'connect',
  'disconnect',
  'message',
] as const;
type Step = (typeof STEPS)[number];

/** The extra action of each step. Every step is recorded as well. */
type Steps = Partial<Record<Step, () => unknown>>;

let ownPort = 0;
const before = async (): Promise<void> => {
  ownPort = await freePort();
};

function stepper(note: Setting['note'], steps: Steps) {
  return (name: Step): unknown => {
    note(name);
    return steps[name]?.();
  };
}

function makeLife({ note }: Setting, steps: Steps): Type {
  const step = stepper(note, steps);
  @Injectable()
  class Life
    implements
      OnModuleInit,
      OnApplicationBootstrap,
      OnModuleDestroy,
      BeforeApplicationShutdown,
      OnApplicationShutdown
  {
    constructor() {
      steps.made?.();
    }
    onModuleInit(): unknown {
      return step('module init');
    }
    onApplicationBootstrap(): unknown {
      return step('bootstrap');
    }
    onModuleDestroy(): unknown {
      return step('module destroy');
    }
    beforeApplicationShutdown(): unknown {
      return step('before shutdown');
    }
    onApplicationShutdown(): unknown {
      return step('shutdown');
    }
  }
  return Life;
}

function makeGateway({ gateway, note }: Setting, steps: Steps, options: object, port = 0): Type {
  const step = stepper(note, steps);
  @gateway(port, options as Record<string, unknown>)
  class Gateway {
    afterInit(): unknown {
      return step('init');
    }
    handleConnection(): unknown {
      return step('connect');
    }
    handleDisconnect(): unknown {
      return step('disconnect');
    }
    @SubscribeMessage('hi') hi(): unknown {
      return { event: 'hi' };
    }
    @SubscribeMessage('step') async message(): Promise<unknown> {
      await step('message');
      return { event: 'step' };
    }
  }
  return Gateway;
}

const on = (port: number): string => `ws://127.0.0.1:${port}/own`;
const visit = async (session: Session, name: string, path: string): Promise<ScriptedClient> => {
  const client = await session.connect(name, path);
  await client.send('hi');
  return client;
};

interface Plan {
  /** Returns the actions of the steps, for each run. */
  readonly steps?: () => Steps;
  readonly options?: object;
  /** The other providers. Default: a provider with every hook. */
  readonly providers?: (setting: Setting) => Provider[];
  readonly start?: (nest: INestApplication, kit: StartKit) => Promise<unknown>;
  readonly script?: Scenario['script'];
  readonly more?: Partial<Scenario>;
}

const listen = (nest: INestApplication): Promise<unknown> => nest.listen(0, '127.0.0.1');

/** Connects Ada to the app's port and Bob to the gateway's own port. Both are still connected when the app closes. */
const stay = async (session: Session, app?: RunningApp): Promise<void> => {
  await visit(session, 'ada', '/shared');
  await visit(session, 'bob', on(ownPort));
  await app?.close().catch((error: unknown) => session.note(`close failed: ${textOf(error)}`));
};
const leave = async (session: Session): Promise<void> => {
  const ada = await visit(session, 'ada', '/shared');
  const { isOpen } = ada;
  await ada.close();
  if (isOpen) await session.noted('disconnect');
  await (await visit(session, 'bob', on(ownPort))).close();
};

function scenario(title: string, plan: Plan): Scenario {
  const { steps = () => ({}), options = {}, start = listen, script = leave, more } = plan;
  return {
    title: `life: ${title}`,
    before,
    app: (setting): ModuleMetadata => {
      const now = steps();
      return {
        providers: [
          ...(plan.providers?.(setting) ?? [makeLife(setting, now)]),
          makeGateway(setting, now, { path: '/shared', ...options }),
          makeGateway(setting, now, { path: '/own', ...options }, ownPort),
        ],
      };
    },
    async start(root, kit) {
      const nest = await NestFactory.create(root, { logger: kit.logger, abortOnError: false });
      kit.useAdapter(nest);
      try {
        await start(nest, kit);
      } catch (error) {
        kit.note(`start failed: ${textOf(error)}`);
      }
      return running(nest);
    },
    script,
    ...more,
  };
}

const fail = (): never => {
  throw new Error('planned');
};
const reject = async (): Promise<never> => {
  await new Promise((resolve) => setImmediate(resolve));
  throw new Error('planned');
};

/** A gate at which the app waits until the script opens it. */
class Gate {
  #reach!: () => void;
  #open!: () => void;
  readonly reached = new Promise<void>((resolve) => (this.#reach = resolve));
  readonly #opened = new Promise<void>((resolve) => (this.#open = resolve));

  readonly pass = (): Promise<void> => {
    this.#reach();
    return this.#opened;
  };

  open(): void {
    this.#open();
  }
}
let gate = new Gate();
const held = (step: Step) => (): Steps => ({ [step]: (gate = new Gate()).pass });

let starting: Promise<unknown> = Promise.resolve();
// Starts the app, and waits until it has reached the gate.
const begin = async (nest: INestApplication): Promise<void> => {
  starting = listen(nest);
  await Promise.race([gate.reached, starting]);
};

const starts: Scenario[] = [
  scenario('init, then listen', {
    async start(nest) {
      await nest.init();
      await listen(nest);
    },
  }),
  scenario('init without listen', {
    start: (nest) => nest.init(),
    script: async (session) => (await visit(session, 'bob', on(ownPort))).close(),
  }),
  scenario('neither init nor listen', {
    start: async () => undefined,
    script: async (session) => void (await session.connect('bob', on(ownPort))),
  }),
  scenario('init twice', {
    async start(nest) {
      await nest.init();
      await nest.init();
      await listen(nest);
    },
  }),
  scenario('listens twice', {
    async start(nest) {
      await listen(nest);
      await listen(nest);
    },
  }),
  ...(['module init', 'bootstrap'] as const).map((step) =>
    scenario(`a client that comes during ${step}`, {
      steps: held(step),
      start: begin,
      async script(session) {
        await visit(session, 'early', on(ownPort));
        gate.open();
        await starting;
        await (await visit(session, 'bob', on(ownPort))).close();
      },
    }),
  ),
];

const rejected = (): Provider[] => [{ provide: 'PARITY_TOKEN', useFactory: reject }];
let taken!: Server;

const failures: Scenario[] = [
  ...(['made', 'module init', 'bootstrap'] as const).flatMap((step) =>
    [fail, reject].slice(step === 'made' ? 1 : 0).map((how) => {
      const does = how === fail ? 'throws' : 'rejects';
      const title = step === 'made' ? 'a factory that rejects' : `${step} that ${does}`;
      return scenario(title, {
        steps: () => ({ [step]: how }),
        ...(step === 'made' && { providers: rejected }),
        // An app that was never created cannot be closed, so its leftovers are observed from outside.
        ...(step === 'made' && { more: { start: neverMade } }),
      });
    }),
  ),
  ...(['init', 'disconnect'] as const).flatMap((step) =>
    [fail, reject].map((how) =>
      scenario(`${step} of the gateway that ${how === fail ? 'throws' : 'rejects'}`, {
        steps: () => ({ [step]: how }),
      }),
    ),
  ),
  ...(['module destroy', 'before shutdown', 'shutdown'] as const).flatMap((step) =>
    [fail, reject].map((how) =>
      scenario(`${step} that ${how === fail ? 'throws' : 'rejects'}, with clients`, {
        steps: () => ({ [step]: how }),
        script: stay,
      }),
    ),
  ),
  scenario('a port of its own that is taken', {
    more: {
      async before() {
        await before();
        taken = createServer().listen(ownPort);
        await once(taken, 'listening');
      },
    },
    async script(session) {
      await (await visit(session, 'ada', '/shared')).close();
      taken.close();
    },
  }),
  scenario('the port of the app is taken', {
    more: {
      async before() {
        await before();
        taken = createServer().listen(0);
        await once(taken, 'listening');
      },
    },
    start: (nest) => nest.listen((taken.address() as { port: number }).port),
    async script(session) {
      await (await visit(session, 'bob', on(ownPort))).close();
      taken.close();
    },
  }),
];

@Module({})
class Nothing {}

async function neverMade(root: Type, kit: StartKit): Promise<RunningApp> {
  await NestFactory.create(root, { logger: kit.logger, abortOnError: false })
    .then((nest) => nest.init())
    .catch((error: unknown) => kit.note(`start failed: ${textOf(error)}`));
  return running(await NestFactory.createApplicationContext(Nothing, { logger: false }));
}

const ends: Scenario[] = [
  scenario('closes with clients', { script: stay }),
  scenario('closes twice', {
    async script(session, { nest }) {
      await stay(session);
      await nest.close();
      await nest.close();
    },
  }),
  scenario('closes twice at once', {
    async script(session, { nest }) {
      await stay(session);
      await Promise.all([nest.close(), nest.close()]);
    },
  }),
  scenario('closes, and clients come', {
    async script(session, app) {
      await app.close();
      await session.connect('ada', '/shared');
      await session.connect('bob', on(ownPort));
    },
  }),
  ...(['module init', 'bootstrap'] as const).map((step) =>
    scenario(`closes during ${step}`, {
      steps: held(step),
      start: begin,
      async script(session, { nest }) {
        const closing = nest.close().then(
          () => session.note('closed'),
          (error: unknown) => session.note(`close failed: ${textOf(error)}`),
        );
        gate.open();
        await starting.then(
          () => session.note('started'),
          (error: unknown) => session.note(`start failed: ${textOf(error)}`),
        );
        await closing;
        await session.connect('bob', on(ownPort));
      },
    }),
  ),
  scenario('closes during handshakes', {
    options: {
      verifyClient: (_info: unknown, answer: (isAllowed: boolean) => void) => {
        void gate.pass().then(() => answer(true));
      },
    },
    steps: () => {
      gate = new Gate();
      return {};
    },
    async script(session, app) {
      const ada = session.connectOnly('ada', '/shared');
      const bob = session.connectOnly('bob', on(ownPort));
      await gate.reached;
      const closing = app.close();
      gate.open();
      await Promise.all([ada, bob, closing]);
    },
  }),
  scenario('closes while a message is handled', {
    steps: held('message'),
    async script(session, app) {
      const ada = await visit(session, 'ada', '/shared');
      ada.socket.send('{"event":"step"}');
      await gate.reached;
      const closing = app.close();
      gate.open();
      await closing;
      await ada.closed();
    },
  }),
  ...(['message', 'connect', 'disconnect'] as const).map((step) =>
    scenario(`closes by ${step === 'message' ? 'a message' : `${step} of the gateway`}`, {
      steps: () => ({ [step]: () => void current?.close() }),
      async script(session, app) {
        current = app;
        const ada = await session.connect('ada', '/shared');
        await ada.send('step');
        await ada.close();
        await session.noted('shutdown');
      },
    }),
  ),
  scenario('closes with a client that reads nothing', {
    async script(session, app) {
      const ada = await visit(session, 'ada', '/shared');
      ada.socket.pause();
      await app.close();
      ada.socket.resume();
    },
  }),
];
let current: RunningApp | undefined;

/** The starts and ends of an app, in all orders that occur in practice. */
export const lifeCycle: readonly Scenario[] = [...starts, ...failures, ...ends];
