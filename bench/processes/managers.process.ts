// Managers without sockets, so many that only their number matters.
import 'reflect-metadata';

import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  UserExecutionContext,
  WebSocketIsolationModule,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

import { answer } from './rpc.js';

const MANAGERS_PER_USER = 10;
const AN_HOUR_MS = 3_600_000;

let factory: WebSocketManagerFactory;
let made = 0;

function create(): Promise<WebSocketManager> {
  made += 1;
  const userId = `user-${Math.ceil(made / MANAGERS_PER_USER)}`;
  return factory.createManager(UserExecutionContext.fromWebSocketRequest({ userId }));
}

/** What an operation costs: the time of this thread, and the processor time of the whole process. */
export interface Cost {
  readonly wallUs: number;
  readonly cpuUs: number;
}

async function costOf(operations: number, work: () => Promise<void>): Promise<Cost> {
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  await work();
  const wallUs = (performance.now() - startedAt) * 1000;
  const { user, system } = process.cpuUsage(cpu);
  return { wallUs: wallUs / operations, cpuUs: (user + system) / operations };
}

// What every message and every send does inside the library: the published types do not have it.
function touch(manager: WebSocketManager): void {
  (manager as unknown as { touch(): void }).touch();
}

const methods = {
  /** Boots an app and makes so many managers that stay. */
  async start(live: number): Promise<void> {
    @Module({
      imports: [
        WebSocketIsolationModule.forRoot({
          limits: { maxManagers: live + 1_000 },
          // They never get a socket, and are not to be cleaned up for that.
          cleanup: { unattachedAfterMs: AN_HOUR_MS },
        }),
      ],
    })
    class AppModule {}
    const app = await NestFactory.create(AppModule, { logger: ['error'] });
    await app.init();
    factory = app.get(WebSocketManagerFactory);
    for (let index = 0; index < live; index += 1) await create();
    global.gc?.();
  },

  /** Makes, touches and disposes of managers, one after another. */
  cycle(operations: number): Promise<Cost> {
    return costOf(operations, async () => {
      for (let index = 0; index < operations; index += 1) {
        const manager = await create();
        touch(manager);
        await factory.cleanupManager(manager.context.connectionId);
      }
    });
  },

  /** Looks for what is to be removed, and finds nothing. */
  sweep(operations: number): Promise<Cost> {
    return costOf(operations, async () => {
      for (let index = 0; index < operations; index += 1) {
        const removed = await factory.cleanupExpired();
        if (removed > 0) throw new Error(`The sweep removed ${removed} managers`);
      }
    });
  },
};

export type ManagersMethods = typeof methods;

answer(methods);
