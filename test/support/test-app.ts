import type { AddressInfo } from 'node:net';

import type {
  DynamicModule,
  INestApplication,
  LoggerService,
  Provider,
  Type,
} from '@nestjs/common';
import { Module } from '@nestjs/common';
import { ExpressAdapter } from '@nestjs/platform-express';
import { type AbstractHttpAdapter, NestFactory } from '@nestjs/core';
import {
  type WebSocketIsolationOptions,
  WebSocketIsolationModule,
} from 'nestjs-websocket-isolation';

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

export interface TestApp {
  readonly app: INestApplication;
  readonly port: number;
  /** `ws://localhost:port` + path. */
  url(path: string): string;
  close(): Promise<void>;
}

/** A real application on port 0. */
export async function startApp(setup: TestAppSetup = {}): Promise<TestApp> {
  @Module({
    imports: [
      WebSocketIsolationModule.forRoot({ authenticator: queryAuthenticator, ...setup.options }),
      ...(setup.imports ?? []),
    ],
    providers: setup.providers ?? [],
    controllers: setup.controllers ?? [],
  })
  class TestModule {}
  const app = await NestFactory.create(TestModule, setup.adapter ?? new ExpressAdapter(), {
    logger: setup.logger ?? false,
    abortOnError: false,
  });
  setup.prepare?.(app);
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return {
    app,
    port,
    url: (path) => `ws://127.0.0.1:${port}${path}`,
    close: () => app.close(),
  };
}
