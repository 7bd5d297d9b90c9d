import 'reflect-metadata';

import type { AddressInfo } from 'node:net';
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';

import { type INestApplication, Logger, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import {
  type FactoryStats,
  getWebSocketManager,
  IsolationError,
  LeakDetector,
  type LeakReport,
  ThreadConsistencyTracker,
  type ThreadConsistencyReport,
  type ThreadSnapshot,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketIsolationModule,
  type WebSocketIsolationOptions,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

import { answer } from '../../lab/remote.js';
import { Book, type UserBook } from './book.js';
import { type Costs, measureCosts } from './costs.js';
import { type History, Timeline } from './timeline.js';
import { ConnectionService, type Fault, FAULT, ValidationGateway } from './validation.gateway.js';

/** The objects that are still there after a garbage collection. */
export interface Leftover extends LeakReport {
  /** Connections whose scoped service was not disposed of exactly once. */
  readonly unevenDisposals: readonly string[];
  readonly users: number;
}

/** The interval of sweeps. It leaves time for other work of the event loop. */
const SWEEP_EVERY_MS = 5;

const book = new Book();
let app: INestApplication;
let timeline: Timeline;
let sweeper: NodeJS.Timeout | undefined;
let sweeps = 0;

const factory = (): WebSocketManagerFactory => app.get(WebSocketManagerFactory);
const tracker = (): ThreadConsistencyTracker => app.get(ThreadConsistencyTracker);

// Reads user and thread from the query: `?user=…&thread=…`.
function authenticate({ url = '' }: { url?: string | undefined }) {
  const query = new URLSearchParams(url.slice(url.indexOf('?') + 1));
  const userId = query.get('user');
  const threadId = query.get('thread');
  return userId ? { userId, ...(threadId && { threadId }) } : null;
}

function codeOf(error: unknown): string {
  return error instanceof IsolationError ? error.code : String(error);
}

async function sweepOnce(): Promise<void> {
  await factory().cleanupExpired();
  sweeps += 1;
}

function stopSweeping(): void {
  clearInterval(sweeper);
  sweeper = undefined;
}

const methods = {
  /**
   * Starts the app on a free port. Resolves with the port.
   *
   * @param isWatched whether to record events and the timeline, which costs time and memory
   */
  async start(
    options: WebSocketIsolationOptions,
    fault: Fault | null,
    isWatched: boolean,
  ): Promise<number> {
    Logger.overrideLogger(false);
    const limits = {
      ...options.limits,
      ...(fault === 'raise-limit' && { maxManagersPerUser: 40 }),
    };
    @Module({
      imports: [
        WebSocketIsolationModule.forRoot({ ...options, limits, authenticator: authenticate }),
      ],
      providers: [
        ValidationGateway,
        ConnectionService,
        { provide: Book, useValue: book },
        { provide: FAULT, useValue: fault },
      ],
    })
    class ValidationModule {}
    app = await NestFactory.create(ValidationModule, { logger: false });
    await app.listen(0, '127.0.0.1');
    timeline = new Timeline(factory(), app.get(LeakDetector));
    if (isWatched) {
      book.open();
      timeline.start();
    }
    return (app.getHttpServer().address() as AddressInfo).port;
  },

  /** Returns the history of a user's connections so far. */
  book: (userId: string): UserBook => book.of(userId),

  /** Returns the number of the user's managers that are not closing. */
  active: (userId: string): number => factory().managersOf(userId).length,

  violations: (): number => book.violations,

  cleanups: () => book.cleanups,

  statistics: (): FactoryStats => factory().getStats(),

  consistency: (): Omit<ThreadConsistencyReport, 'violations'> => tracker().getReport(),

  record: (snapshot: ThreadSnapshot): boolean => tracker().record(snapshot),

  /** Returns the ids of a connection from the registry; `null` if it has no such connection. */
  lookUp(connectionId: string): { threadId: string; isolationKey: string } | null {
    const manager = factory().getManager(connectionId);
    return manager
      ? { threadId: manager.context.threadId, isolationKey: manager.context.isolationKey }
      : null;
  },

  cleanUp: (connectionId: string): Promise<boolean> => factory().cleanupManager(connectionId),

  /** Starts or stops the sweeps. Returns the number of sweeps so far. */
  sweep(on: boolean): number {
    if (on) sweeper ??= setInterval(() => void sweepOnce(), SWEEP_EVERY_MS);
    else stopSweeping();
    return sweeps;
  },

  /** Requests an existing connection with the context of another user. Resolves with the code of the error. */
  async steal(connectionId: string, userId: string): Promise<string> {
    const stolen = UserExecutionContext.fromWebSocketRequest({ userId, connectionId });
    return factory()
      .createManager(stolen)
      .then(() => 'no error', codeOf);
  },

  /** Calls `getWebSocketManager()`, which always throws. Returns the code of the error. */
  singleton(): string {
    try {
      return String(getWebSocketManager());
    } catch (error) {
      return codeOf(error);
    }
  },

  toUser: (userId: string, data: unknown) =>
    app.get(WebSocketEmitter).toUser(userId).send('news', data),

  costs: (managers: number): Promise<Costs> => measureCosts(factory(), managers),

  /** Collects garbage and resolves with what is still there. */
  async leftover(): Promise<Leftover> {
    for (let round = 0; round < 4; round += 1) {
      await nextTurn();
      globalThis.gc!();
      // Finalization callbacks run in a later turn of the event loop.
      await sleep(5);
    }
    return {
      ...app.get(LeakDetector).getReport(),
      unevenDisposals: book.unevenDisposals,
      users: factory().getStats().factoryMetrics.usersWithActiveManagers,
    };
  },

  async stop(): Promise<History> {
    stopSweeping();
    const history = timeline.finish();
    await app.close();
    return history;
  },
};

export type ServerMethods = typeof methods;

answer(methods);
