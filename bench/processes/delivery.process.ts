// A node of a cluster of two. Or the same without the library: PUBLISH on one side, a bare `ws` server on the other.
import 'reflect-metadata';

import type { AddressInfo } from 'node:net';
import { setTimeout as pause } from 'node:timers/promises';

import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  IsolatedGateway,
  WebSocketEmitter,
  WebSocketIsolationModule,
} from 'nestjs-websocket-isolation';
import { redisCluster } from 'nestjs-websocket-isolation/redis';
import { createClient } from 'redis';
import { WebSocketServer } from 'ws';

import type { DeliveryWay } from '../metrics.js';
import { answer } from '../../lab/remote.js';

const CHANNEL = 'bench';
const AUDIENCE = { userId: 'ada', threadId: 'tea' };
const BATCH_MS = 10;

@IsolatedGateway({ path: '/' })
class Gateway {}

let send: (data: object) => void;

async function startPlain(url: string): Promise<number> {
  const publisher = await createClient({ url }).connect();
  const subscriber = await publisher.duplicate().connect();
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  await subscriber.subscribe(CHANNEL, (frame) => {
    for (const client of server.clients) client.send(frame);
  });
  send = (data) => void publisher.publish(CHANNEL, JSON.stringify({ event: 'n', data }));
  return (server.address() as AddressInfo).port;
}

async function startOurs(url: string, isResumed: boolean): Promise<number> {
  @Module({
    imports: [
      WebSocketIsolationModule.forRoot({
        authenticator: () => AUDIENCE,
        cluster: redisCluster({ url }),
        ...(isResumed && { resume: {} }),
      }),
    ],
    providers: [Gateway],
  })
  class AppModule {}
  const app = await NestFactory.create(AppModule, { logger: ['error'] });
  await app.listen(0, '127.0.0.1');
  const emitter = app.get(WebSocketEmitter);
  const { userId, threadId } = AUDIENCE;
  const audience = isResumed ? emitter.toThread(userId, threadId) : emitter.toUser(userId);
  send = (data) => void audience.send('n', data);
  return (app.getHttpServer().address() as AddressInfo).port;
}

const methods = {
  start: (way: DeliveryWay, url: string): Promise<number> =>
    way === 'plain PUBLISH' ? startPlain(url) : startOurs(url, way === 'toThread, resume'),

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
