// One node of a fleet, in a separate process.
import 'reflect-metadata';

import { scryptSync } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

import { type DynamicModule, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import {
  IsolatedGateway,
  WebSocketIsolationModule,
  type WebSocketIsolationOptions,
} from 'nestjs-websocket-isolation';
import type { WebSocket } from 'ws';

import { answer } from '../../lab/remote.js';
import { candidateNamed, type NodeOptions, PATH } from './candidates.js';
import { type TurnDelay, TurnDelays } from './turn-delays.js';

/** The same for all candidates: about 1 ms of processor time, for a token to verify and a session to load. */
function identify({ url = '' }: IncomingMessage): { userId: string } | null {
  const [, userId] = url.split(/[?&]user=/);
  if (userId === undefined) return null;
  scryptSync(userId, 'storm', 16, { N: 256 });
  return { userId: userId.split('&')[0]! };
}

// The answer names the node, and the question.
function helloTo(number: number): object {
  return { event: 'hello', data: { node: process.pid, number } };
}

@WebSocketGateway({ path: PATH })
class StockGateway {
  handleConnection(client: WebSocket, request: IncomingMessage): void {
    if (!identify(request)) client.close(4401);
  }

  @SubscribeMessage('hello')
  hello(@MessageBody() number: number): object {
    return helloTo(number);
  }
}

@IsolatedGateway({ path: PATH })
class ConnectionGateway {
  @SubscribeMessage('hello')
  hello(@MessageBody() number: number): object {
    return helloTo(number);
  }
}

@Module({ providers: [StockGateway] })
class StockModule {}

@Module({})
class IsolatedModule {}

function isolated({ candidate, perSecond, burst, spreadMs }: NodeOptions): DynamicModule {
  const { admission } = candidateNamed(candidate);
  const options: WebSocketIsolationOptions = {
    authenticator: (request) => Promise.resolve(identify(request as unknown as IncomingMessage)),
    limits: { maxManagers: 20_000 },
    handshake: { rejectWith: admission ?? 'http' },
  };
  if (admission) {
    options.handshake!.admission = { perSecond, burst, maxEventLoopDelayMs: 250 };
    options.shutdown = { spreadMs };
  }
  return {
    module: IsolatedModule,
    imports: [WebSocketIsolationModule.forRoot(options)],
    providers: [ConnectionGateway],
  };
}

let delays: TurnDelays | undefined;

const methods = {
  async start(options: NodeOptions): Promise<void> {
    const { isOurs } = candidateNamed(options.candidate);
    const module = isOurs ? isolated(options) : StockModule;
    const app = await NestFactory.create(module, { logger: false });
    if (!isOurs) app.useWebSocketAdapter(new WsAdapter(app));
    app.enableShutdownHooks();
    // The backlog of the deployment guide.
    await app.listen(options.port, '127.0.0.1', 4096 as never);
    delays = new TurnDelays();
  },

  /** Milliseconds of processor time, and the most memory that the process has had, in MB. */
  usage(): { readonly cpuMs: number; readonly mostMb: number } {
    const { user, system } = process.cpuUsage();
    return { cpuMs: (user + system) / 1_000, mostMb: process.resourceUsage().maxRSS / 1_024 };
  },

  /** How long messages have waited in this process since the last call. */
  delays: (): TurnDelay => delays!.take(),

  pid: (): number => process.pid,
};

export type NodeMethods = typeof methods;

answer(methods);
