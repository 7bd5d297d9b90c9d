// Managers without sockets, to measure how the cost depends on their number.
import 'reflect-metadata';

import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  UserExecutionContext,
  WebSocketIsolationModule,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

import type { MembershipWay } from '../metrics.js';
import { answer } from '../../lab/remote.js';
import { collect } from './collect.js';
import { joinAll, leaveAll } from './memberships.js';

const MANAGERS_PER_USER = 10;
const AN_HOUR_MS = 3_600_000;

let factory: WebSocketManagerFactory;
let made = 0;
const kept: WebSocketManager[] = [];

function create(): Promise<WebSocketManager> {
  made += 1;
  const userId = `user-${Math.ceil(made / MANAGERS_PER_USER)}`;
  return factory.createManager(UserExecutionContext.fromWebSocketRequest({ userId }));
}

/** The cost of an operation: wall-clock time, and the processor time of the whole process. */
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

// The library touches the manager on every message and every send. `touch` is not part of the published types.
function touch(manager: WebSocketManager): void {
  (manager as unknown as { touch(): void }).touch();
}

const methods = {
  /** Boots an app and creates `live` managers that stay. */
  async start(live: number): Promise<void> {
    @Module({
      imports: [
        WebSocketIsolationModule.forRoot({
          limits: { maxManagers: live + 1_000 },
          // The managers never get a socket, and must not be cleaned up for that.
          cleanup: { unattachedAfterMs: AN_HOUR_MS },
        }),
      ],
    })
    class AppModule {}
    const app = await NestFactory.create(AppModule, { logger: ['error'] });
    await app.init();
    factory = app.get(WebSocketManagerFactory);
    for (let index = 0; index < live; index += 1) kept.push(await create());
    global.gc?.();
  },

  /** Creates, touches and disposes of managers, one after another. */
  cycle(operations: number): Promise<Cost> {
    return costOf(operations, async () => {
      for (let index = 0; index < operations; index += 1) {
        const manager = await create();
        touch(manager);
        await factory.cleanupManager(manager.context.connectionId);
      }
    });
  },

  /** Lets `count` of the managers that stay join one topic each, and then leave it, several times. */
  joinAndLeave(way: MembershipWay, count: number, passes: number): Promise<Cost> {
    const members = kept.slice(0, count);
    return costOf(count * passes, () => {
      for (let pass = 0; pass < passes; pass += 1) {
        joinAll(way, members, 1);
        leaveAll(way, members, 1);
      }
      return Promise.resolve();
    });
  },

  /** Resolves with the bytes of a membership while each of the managers that stay is in `topicsEach` topics. */
  async membershipHeap(way: MembershipWay, topicsEach: number): Promise<number> {
    await collect();
    const before = process.memoryUsage().heapUsed;
    joinAll(way, kept, topicsEach);
    await collect();
    const bytes = process.memoryUsage().heapUsed - before;
    leaveAll(way, kept, topicsEach);
    return bytes / kept.length / topicsEach;
  },

  /** Runs sweeps that find nothing to remove. */
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
