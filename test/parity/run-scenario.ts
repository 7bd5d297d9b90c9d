import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { setImmediate as turn, setTimeout as delay } from 'node:timers/promises';

import {
  type INestApplication,
  type INestApplicationContext,
  Injectable,
  type LoggerService,
  Module,
  Scope,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { WsAdapter } from '@nestjs/platform-ws';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { IsolatedGateway, WebSocketIsolationModule } from 'nestjs-websocket-isolation';

import type { Form, GatewayDecorator, RunningApp, Scenario, StartKit } from './scenario.js';
import { Session } from './session.js';
import { type Lanes, Transcript } from './transcript.js';

/** Runs a scenario in a form. Errors of the run are recorded in the transcript as well. */
export async function runScenario(scenario: Scenario, form: Form): Promise<Lanes> {
  const transcript = new Transcript();
  const stopWatching = watchProcess(transcript);
  const kit = kitFor(form, transcript);
  let app: RunningApp | undefined;
  try {
    await scenario.before?.();
    app = await (scenario.start ?? startHttp(scenario))(rootOf(scenario, kit), kit);
    const session = new Session(app.url, transcript);
    await scenario.script(session, app);
    await session.end();
  } catch (error) {
    transcript.write('script', `failed: ${textOf(error)}`);
  } finally {
    await app?.close().catch((error: unknown) => {
      transcript.write('script', `close failed: ${textOf(error)}`);
    });
    // Unhandled rejections are reported a turn later, and errors of rxjs by a timer, which fires before this one.
    await turn();
    await delay(1);
    stopWatching();
  }
  return transcript.lanes;
}

function kitFor(form: Form, transcript: Transcript): StartKit {
  return {
    form,
    gateway: decoratorOf(form),
    note: (line) => transcript.write('server', line),
    logger: logInto(transcript),
    useAdapter(app) {
      // The library's adapter installs itself.
      if (form === 'stock') app.useWebSocketAdapter(new WsAdapter(app));
    },
  };
}

function decoratorOf(form: Form): GatewayDecorator {
  const decorator = form === 'stock' || form === 'plain' ? WebSocketGateway : IsolatedGateway;
  return (...args) => {
    const decorate = decorator(...(args as [number, object]));
    return (target) => {
      decorate(target);
      if (form === 'scoped') Injectable({ scope: Scope.REQUEST })(target);
    };
  };
}

function rootOf(scenario: Scenario, kit: StartKit): Type {
  const { imports = [], providers = [], ...metadata } = scenario.app(kit);
  const beside = kit.form === 'plain' ? [makeBystander()] : [];
  @Module({
    ...metadata,
    imports: kit.form === 'stock' ? imports : [isolation(), ...imports],
    providers: [...providers, ...beside],
  })
  class Root {}
  return Root;
}

function isolation(): ReturnType<typeof WebSocketIsolationModule.forRoot> {
  return WebSocketIsolationModule.forRoot({
    authenticator: ({ url }) => {
      const userId = new URL(url ?? '/', 'http://localhost').searchParams.get('user');
      return userId ? { userId } : null;
    },
  });
}

// The isolated gateway beside a plain one.
function makeBystander(): Type {
  @IsolatedGateway({ path: '/bystander' })
  class Bystander {
    @SubscribeMessage('hi') hi(): unknown {
      return { event: 'hi' };
    }
  }
  return Bystander;
}

function startHttp(scenario: Scenario) {
  return async (root: Type, kit: StartKit): Promise<RunningApp> => {
    const app = await NestFactory.create(root, { logger: kit.logger, abortOnError: false });
    kit.useAdapter(app);
    await scenario.prepare?.(app, kit);
    await app.listen(0, '127.0.0.1');
    return running(app);
  };
}

/** Returns a running app, which may or may not listen on a port. */
export function running(
  app: INestApplicationContext,
  { scheme = 'ws', host = '127.0.0.1' } = {},
): RunningApp {
  let closing: Promise<void> | undefined;
  const address =
    'getHttpServer' in app ? (app as INestApplication).getHttpServer().address() : null;
  return {
    url: `${scheme}://${host}:${(address as AddressInfo | null)?.port ?? 1}`,
    nest: app,
    close: () => (closing ??= app.close()),
  };
}

const ignore = (): void => undefined;

// Records each warning and error once, because the number of repetitions is not compared.
function logInto(transcript: Transcript): LoggerService {
  const write =
    (level: string) =>
    (message: unknown, ...rest: unknown[]): void => {
      const line = `${level} ${whatItSays(message, rest)}`;
      // A warning about classes of other scenarios in this process.
      if (line.includes('is in no `providers` of this application')) return;
      // A warning that appears on a busy machine.
      if (/taking [\d.]+ms to serialize/.test(line)) return;
      if (!transcript.read('log').includes(line)) transcript.write('log', line);
    };
  return {
    log: ignore,
    debug: ignore,
    verbose: ignore,
    warn: write('warn'),
    error: write('error'),
  };
}

// Returns the cause only, because stock and the library log it with different words.
function whatItSays(message: unknown, [stack]: unknown[]): string {
  if (typeof stack === 'string' && stack.includes('\n    at ')) return textOf(stack);
  const text = textOf(message);
  const cause = / cause=("(?:[^"\\]|\\.)*"|\S+)/.exec(text)?.[1];
  if (cause === undefined) return text;
  return cause.startsWith('"') ? (JSON.parse(cause) as string) : cause;
}

function watchProcess(transcript: Transcript): () => void {
  const caught = (error: unknown): void => transcript.write('process', `uncaught ${textOf(error)}`);
  const unhandled = (error: unknown): void =>
    transcript.write('process', `unhandled rejection ${textOf(error)}`);
  process.on('uncaughtException', caught).on('unhandledRejection', unhandled);
  return () => {
    process.off('uncaughtException', caught).off('unhandledRejection', unhandled);
  };
}

export function textOf(error: unknown): string {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  // The port is a free one, which differs in each form.
  return text.split('\n', 1)[0]!.replace(/(?<=EADDRINUSE.*:)\d+$/, 'port');
}

/** Resolves with a free port. */
export async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer().listen(0);
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
