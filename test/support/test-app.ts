import type { Server } from 'node:http';

import {
  type DynamicModule,
  type INestApplication,
  type LoggerService,
  Module,
  type Provider,
  type Type,
} from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import {
  type WebSocketIsolationOptions,
  WebSocketIsolationModule,
} from 'nestjs-websocket-isolation';
import { startTestApplication, type TestApplication } from 'nestjs-websocket-isolation/testing';

/** Reads the identity from the query: `?user=…&thread=…`. Returns `null` without a user. */
export function queryAuthenticator(request: { url?: string | undefined }): {
  userId: string;
  threadId?: string;
  runId?: string;
} | null {
  const query = new URL(request.url ?? '/', 'http://localhost').searchParams;
  const userId = query.get('user');
  if (!userId) return null;
  const threadId = query.get('thread');
  const runId = query.get('run');
  return { userId, ...(threadId && { threadId }), ...(runId && { runId }) };
}

export interface TestAppSetup {
  readonly providers?: Provider[];
  readonly controllers?: Type[];
  readonly imports?: (DynamicModule | Type)[];
  readonly options?: WebSocketIsolationOptions;
  readonly prepare?: (app: INestApplication) => void;
  readonly logger?: false | ['error'] | LoggerService;
  /** Express by default. */
  readonly adapter?: AbstractHttpAdapter;
}

export type TestApp = TestApplication;

/**
 * Adds long deadlines, unless the test sets its own or uses a fake clock. With short ones, a busy machine would refuse
 * handshakes and treat peers as dead in tests of other behaviour.
 */
function patient(options: WebSocketIsolationOptions = {}): WebSocketIsolationOptions {
  if (options.clock) return {};
  return {
    handshake: { timeoutMs: 1_200_000, ...options.handshake },
    heartbeat: { timeoutMs: 1_200_000, ...options.heartbeat },
  };
}

/** Starts a real application on a free port. */
export async function startApp(setup: TestAppSetup = {}): Promise<TestApp> {
  @Module({
    imports: [
      WebSocketIsolationModule.forRoot({
        authenticator: queryAuthenticator,
        ...setup.options,
        ...patient(setup.options),
      }),
      ...(setup.imports ?? []),
    ],
    providers: setup.providers ?? [],
    controllers: setup.controllers ?? [],
  })
  class TestModule {}
  const { prepare, adapter, logger = false } = setup;
  const app = await startTestApplication(TestModule, {
    logger,
    ...(prepare && { prepare }),
    ...(adapter && { adapter }),
  });
  // On a slow machine, `fetch` would reuse a connection in the moment in which the server closes it as idle.
  (app.app.getHttpServer() as Server).keepAliveTimeout = 0;
  return app;
}
