// A node of a cluster of two. Or the same without the library: by hand on a bare `ws` server, or with Socket.IO.
import 'reflect-metadata';

import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { Module } from '@nestjs/common';
import { type OnGatewayConnection, WebSocketGateway, WebSocketServer } from '@nestjs/websockets';
import {
  IsolatedGateway,
  WebSocketEmitter,
  WebSocketIsolationModule,
} from 'nestjs-websocket-isolation';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import { createClient } from 'redis';
import type { Server, Socket } from 'socket.io';
import { type WebSocket, WebSocketServer as BareServer } from 'ws';

import { PATH } from '../candidates/candidate.js';
import { startNest } from '../candidates/nest-app.js';
import { ioAdapterFor } from '../candidates/socket-io-cluster.js';
import type { DeliveryWay } from '../metrics.js';
import { answer } from '../../lab/remote.js';

const CHANNEL = 'bench';
const USER = 'ada';
const THREAD = 'tea';
const BATCH_MS = 10;

@IsolatedGateway({ path: PATH })
class Gateway {}

@WebSocketGateway({ transports: ['websocket'] })
class SocketIoGateway implements OnGatewayConnection<Socket> {
  @WebSocketServer() readonly server!: Server;

  async handleConnection(client: Socket): Promise<void> {
    await client.join(USER);
  }
}

@Module({ providers: [SocketIoGateway] })
class SocketIoModule {}

let send: (data: object) => void;

/** What a team writes by hand: the sockets of each user, and a channel that tells the nodes what to send to whom. */
async function startByHand(url: string): Promise<number> {
  const publisher = await createClient({ url }).connect();
  const subscriber = await publisher.duplicate().connect();
  const server = new BareServer({ port: 0, host: '127.0.0.1', path: PATH });
  const socketsOf = new Map<string, Set<WebSocket>>([[USER, new Set()]]);
  server.on('connection', (socket) => socketsOf.get(USER)!.add(socket));
  await subscriber.subscribe(CHANNEL, (text) => {
    const { userId, event, data } = JSON.parse(text) as Message;
    const frame = JSON.stringify({ event, data });
    for (const socket of socketsOf.get(userId) ?? []) socket.send(frame);
  });
  send = (data) => {
    const message: Message = { userId: USER, event: 'n', data };
    void publisher.publish(CHANNEL, JSON.stringify(message));
  };
  return (server.address() as AddressInfo).port;
}

interface Message {
  readonly userId: string;
  readonly event: string;
  readonly data: unknown;
}

async function startSocketIo(redisUrl: string): Promise<number> {
  const { app, port } = await startNest(SocketIoModule, await ioAdapterFor({ redisUrl }));
  const { server } = app.get(SocketIoGateway);
  send = (data) => server.to(USER).emit('n', data);
  return port;
}

async function startOurs(url: string, isResumed: boolean): Promise<number> {
  @Module({
    imports: [
      WebSocketIsolationModule.forRoot({
        authenticator: () => ({ userId: USER, threadId: THREAD }),
        // The nodes of each way are a cluster of their own.
        cluster: redisCluster({ url, keyPrefix: isResumed ? 'resumed' : 'plain' }),
        ...(isResumed && { resume: {} }),
      }),
    ],
    providers: [Gateway],
  })
  class AppModule {}
  const { app, port } = await startNest(AppModule);
  const emitter = app.get(WebSocketEmitter);
  const audience = isResumed ? emitter.toThread(USER, THREAD) : emitter.toUser(USER);
  send = (data) => void audience.send('n', data);
  return port;
}

const starts: Readonly<Record<DeliveryWay, (url: string) => Promise<number>>> = {
  'PUBLISH by hand': startByHand,
  toUser: (url) => startOurs(url, false),
  'toThread, resume': (url) => startOurs(url, true),
  'room of Socket.IO': startSocketIo,
};

const methods = {
  start: (way: DeliveryWay, url: string): Promise<number> => starts[way](url),

  /** Returns the processor time of all threads of the process, in microseconds. */
  cpu(): number {
    const { user, system } = process.cpuUsage();
    return user + system;
  },

  /** Sends at an even rate. Each message carries its send time, from the machine's monotonic clock. */
  async send(perSecond: number, durationMs: number): Promise<number> {
    const startedAt = performance.now();
    let sent = 0;
    for (let elapsed = 0; elapsed < durationMs; elapsed = performance.now() - startedAt) {
      for (; sent < (elapsed * perSecond) / 1000; sent += 1) {
        send({ at: String(process.hrtime.bigint()) });
      }
      await pause(BATCH_MS);
    }
    return sent;
  },
};

export type DeliveryMethods = typeof methods;

answer(methods);
