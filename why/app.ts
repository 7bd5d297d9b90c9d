import type { AddressInfo } from 'node:net';

import {
  type INestApplication,
  Logger,
  Module,
  type ModuleMetadata,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { WsAdapter } from '@nestjs/platform-ws';
import { WebSocketGateway } from '@nestjs/websockets';
import { IsolatedGateway, WebSocketIsolationModule } from 'nestjs-websocket-isolation';
import { WebSocket, type ClientOptions } from 'ws';

import type { Side } from './probe.js';

/** Returns the decorator of the gateway. It is the only difference between a probe's two sides, besides the module. */
export function gateway(side: Side): ClassDecorator {
  return side === 'stock'
    ? WebSocketGateway({ path: '/probe' })
    : IsolatedGateway({ path: '/probe' });
}

/** A running application. It ends with the process. */
export interface ProbeApp {
  readonly app: INestApplication;
  readonly connect: (options?: ClientOptions) => Client;
}

/** All clients are the same user: the probes do not test authentication. */
const authenticator = (): { userId: string } => ({ userId: 'ada' });

/** Starts an application with the given providers, on Nest's own `WsAdapter` or with the module imported. */
export async function startApp(side: Side, metadata: ModuleMetadata): Promise<ProbeApp> {
  const isolation = WebSocketIsolationModule.forRoot({ authenticator });
  @Module({
    ...metadata,
    imports: [...(metadata.imports ?? []), ...(side === 'stock' ? [] : [isolation])],
  })
  class AppModule {}
  Logger.overrideLogger(false);
  const app = await NestFactory.create(AppModule as Type, { logger: false });
  if (side === 'stock') app.useWebSocketAdapter(new WsAdapter(app));
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  return {
    app,
    connect: (options) => new Client(new WebSocket(`ws://127.0.0.1:${port}/probe`, options)),
  };
}

/** A plain client that records how its connection ended. */
export class Client {
  readonly received: string[] = [];
  /** `waiting`, `open`, `closed with` a close code, or `refused with` a status. */
  end = 'waiting';

  constructor(readonly socket: WebSocket) {
    socket.on('open', () => (this.end = 'open'));
    socket.on('message', (frame: Buffer) => this.received.push(frame.toString()));
    socket.on('close', (code) => {
      if (!this.end.startsWith('refused')) this.end = `closed with ${code}`;
    });
    socket.on('unexpected-response', (request, { statusCode }) => {
      this.end = `refused with ${statusCode}`;
      request.destroy();
    });
    socket.on('error', () => undefined);
  }

  send(event: string, data?: unknown): void {
    this.socket.send(JSON.stringify({ event, data }));
  }

  opened(): Promise<void> {
    return until(() => this.end !== 'waiting');
  }

  closed(): Promise<void> {
    return until(() => this.end.startsWith('closed') || this.end.startsWith('refused'));
  }
}

/** Waits for a condition, at most `ms` milliseconds. Resolves in either case. */
export async function until(condition: () => boolean, ms = 2_000): Promise<void> {
  const end = performance.now() + ms;
  while (!condition() && performance.now() < end) await pause(5);
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
