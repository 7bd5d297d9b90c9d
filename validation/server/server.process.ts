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

import { answer } from '../../bench/processes/rpc.js';
import { Book, type UserBook } from './book.js';
import { type Costs, measureCosts } from './costs.js';
import { type History, Timeline } from './timeline.js';
import { ConnectionService, type Fault, FAULT, ValidationGateway } from './validation.gateway.js';

/** What the last collection left. */
export interface Leftover extends LeakReport {
  /** Connections whose scoped service was not disposed of exactly once. */
  readonly unevenDisposals: readonly string[];
  readonly users: number;
}

/** The pause between two sweeps: long enough for others to have their turn. */
const SWEEP_EVERY_MS = 5;

const book = new Book();
let app: INestApplication;
let timeline: Timeline;
let sweeper: NodeJS.Timeout | undefined;
let sweeps = 0;

const factory = (): WebSocketManagerFactory => app.get(WebSocketManagerFactory);
const tracker = (): ThreadConsistencyTracker => app.get(ThreadConsistencyTracker);

// Whose connection it is stands in the query: `?user=…&thread=…`.
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
   * Starts the app on a free port, and gives the port.
   *
   * @param isWatched whether to write down what happens, which costs time and memory of its own
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

  /** What happened to a user's connections so far. */
  book: (userId: string): UserBook => book.of(userId),

  /** The user's managers that are not closing. */
  active: (userId: string): number => factory().managersOf(userId).length,

  violations: (): number => book.violations,

  cleanups: () => book.cleanups,

  statistics: (): FactoryStats => factory().getStats(),

  consistency: (): Omit<ThreadConsistencyReport, 'violations'> => tracker().getReport(),

  record: (snapshot: ThreadSnapshot): boolean => tracker().record(snapshot),

  /** What the registry knows of a connection. */
  lookUp(connectionId: string): { threadId: string; isolationKey: string } | null {
    const manager = factory().getManager(connectionId);
    return manager
      ? { threadId: manager.context.threadId, isolationKey: manager.context.isolationKey }
      : null;
  },

  cleanUp: (connectionId: string): Promise<boolean> => factory().cleanupManager(connectionId),

  /** Sweeps one after the other, until told to stop. Gives how many there were. */
  sweep(on: boolean): number {
    if (on) sweeper ??= setInterval(() => void sweepOnce(), SWEEP_EVERY_MS);
    else stopSweeping();
    return sweeps;
  },

  /** Somebody else's context for a connection that is there: gives the error's code. */
  async steal(connectionId: string, userId: string): Promise<string> {
    const stolen = UserExecutionContext.fromWebSocketRequest({ userId, connectionId });
    return factory()
      .createManager(stolen)
      .then(() => 'no error', codeOf);
  },

  /** The old way to a manager: gives the error's code. */
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

  /** Collects garbage, and says what is still there. */
  async leftover(): Promise<Leftover> {
    for (let round = 0; round < 4; round += 1) {
      await nextTurn();
      globalThis.gc!();
      // The observer of collections hears of them in a later turn.
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
