import type {
  DynamicModule,
  INestApplication,
  LoggerService,
  Provider,
  Type,
} from '@nestjs/common';
import { Module } from '@nestjs/common';
import type { AbstractHttpAdapter } from '@nestjs/core';
import {
  type WebSocketIsolationOptions,
  WebSocketIsolationModule,
} from 'nestjs-websocket-isolation';
import { startTestApplication, type TestApplication } from 'nestjs-websocket-isolation/testing';

/** Takes the identity from the query: `?user=…&thread=…`. Nobody without a user. */
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
 * Deadlines that no machine is too slow for, where a test does not name its own and time is real: otherwise a busy machine
 * would refuse handshakes and take peers for dead in the middle of tests about something else.
 */
function patient(options: WebSocketIsolationOptions = {}): WebSocketIsolationOptions {
  if (options.clock) return {};
  return {
    handshake: { timeoutMs: 240_000, ...options.handshake },
    heartbeat: { timeoutMs: 240_000, ...options.heartbeat },
  };
}

/** A real application on port 0. */
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
  return startTestApplication(TestModule, {
    logger,
    ...(prepare && { prepare }),
    ...(adapter && { adapter }),
  });
}
