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
import { createClient, type RedisClientOptions } from 'redis';
import type { Server, Socket } from 'socket.io';
import { type WebSocket, WebSocketServer as BareServer } from 'ws';

import { NEWS, PATH } from '../candidates/candidate.js';
import { startNest } from '../candidates/nest-app.js';
import { ioAdapterFor } from '../candidates/socket-io-cluster.js';
import type { DeliveryWay } from '../metrics.js';
import { answer } from '../../lab/remote.js';
import { WITHOUT_TIMERS } from './redis.js';

const CHANNEL = 'bench';
const THREAD = 'tea';
const BATCH_MS = 10;

@IsolatedGateway({ path: PATH })
class Gateway {}

@WebSocketGateway({ transports: ['websocket'] })
class SocketIoGateway implements OnGatewayConnection<Socket> {
  @WebSocketServer() readonly server!: Server;

  async handleConnection(client: Socket): Promise<void> {
    await client.join(userOf(client.request.url));
  }
}

@Module({ providers: [SocketIoGateway] })
class SocketIoModule {}

let send: (userId: string, data: object) => void;

/** The user id in the query string of a URL: the last parameter. */
function userOf(url = ''): string {
  return url.slice(url.lastIndexOf('user=') + 'user='.length);
}

/** What a team writes by hand: the sockets of each user, and a channel that tells the nodes what to send to whom. */
async function startByHand(url: string): Promise<number> {
  const publisher = await createClient({ ...WITHOUT_TIMERS, url }).connect();
  const subscriber = await publisher.duplicate().connect();
  const server = new BareServer({ port: 0, host: '127.0.0.1', path: PATH });
  const socketsOf = new Map<string, Set<WebSocket>>();
  server.on('connection', (socket, { url }) => {
    const userId = userOf(url);
    const sockets = socketsOf.get(userId) ?? new Set();
    socketsOf.set(userId, sockets.add(socket));
    socket.on(
      'close',
      () => sockets.delete(socket) && sockets.size === 0 && socketsOf.delete(userId),
    );
  });
  await subscriber.subscribe(CHANNEL, (text) => {
    const { userId, event, data } = JSON.parse(text) as Message;
    const frame = JSON.stringify({ event, data });
    for (const socket of socketsOf.get(userId) ?? []) socket.send(frame);
  });
  send = (userId, data) => {
    const message: Message = { userId, event: 'n', data };
    void publisher.publish(CHANNEL, JSON.stringify(message));
  };
  return (server.address() as AddressInfo).port;
}

interface Message {
  readonly userId: string;
  readonly event: string;
  readonly data: unknown;
}

async function startSocketIo(redisUrl: string, redisOptions?: RedisClientOptions): Promise<number> {
  const channelPrefix = redisOptions ? 'without-timers' : 'default-client';
  const adapter = await ioAdapterFor({ redisUrl, redisOptions, channelPrefix });
  const { app, port } = await startNest(SocketIoModule, adapter);
  const { server } = app.get(SocketIoGateway);
  send = (userId, data) => server.to(userId).emit('n', data);
  return port;
}

async function startOurs(url: string, isResumed: boolean): Promise<number> {
  @Module({
    imports: [
      WebSocketIsolationModule.forRoot({
        authenticator: ({ url }) => ({ userId: userOf(url), threadId: THREAD }),
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
  send = isResumed
    ? (userId, data) => void emitter.toThread(userId, THREAD).send('n', data)
    : (userId, data) => void emitter.toUser(userId).send('n', data);
  return port;
}

const starts: Readonly<Record<DeliveryWay, (url: string) => Promise<number>>> = {
  'PUBLISH by hand': startByHand,
  toUser: (url) => startOurs(url, false),
  'toThread, resume': (url) => startOurs(url, true),
  'room of Socket.IO': (url) => startSocketIo(url, WITHOUT_TIMERS),
  'room of Socket.IO, default client': (url) => startSocketIo(url),
};

const methods = {
  start: (way: DeliveryWay, url: string): Promise<number> => starts[way](url),

  /** Returns the processor time of all threads of the process, in microseconds. */
  cpu(): number {
    const { user, system } = process.cpuUsage();
    return user + system;
  },

  /** Sends one message to each user, in one turn of the event loop. */
  burst(userIds: readonly string[]): void {
    for (const userId of userIds) send(userId, NEWS);
  },

  /** Sends at an even rate, to each user in turn. A message carries its send time, from the machine's monotonic clock. */
  async sendEvenly(userIds: readonly string[], perSecond: number, messages: number): Promise<void> {
    const startedAt = performance.now();
    for (let sent = 0; sent < messages;) {
      const due = ((performance.now() - startedAt) * perSecond) / 1000;
      for (; sent < Math.min(due, messages); sent += 1) {
        send(userIds[sent % userIds.length]!, { at: String(process.hrtime.bigint()) });
      }
      await pause(BATCH_MS);
    }
  },
};

export type DeliveryMethods = typeof methods;

answer(methods);
