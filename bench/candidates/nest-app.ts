import 'reflect-metadata';

import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import type { DynamicModule, INestApplication, Type, WebSocketAdapter } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';

/** Starts a Nest application as in production: the log levels `debug` and `verbose` are off. */
export async function startNest(
  module: Type | DynamicModule,
  adapterFor?: (app: INestApplication) => WebSocketAdapter,
): Promise<{ app: INestApplication; httpServer: Server; port: number }> {
  const app = await NestFactory.create(module, { logger: ['log', 'warn', 'error'] });
  if (adapterFor) app.useWebSocketAdapter(adapterFor(app));
  await app.listen(0, '127.0.0.1');
  const httpServer = app.getHttpServer() as Server;
  const { port } = httpServer.address() as AddressInfo;
  return { app, httpServer, port };
}
