// An application in a separate process, so that a test can measure its memory and observe its exit.
import { once } from 'node:events';
import { setImmediate as turn } from 'node:timers/promises';

import {
  Injectable,
  type OnApplicationShutdown,
  type OnModuleDestroy,
  Scope,
} from '@nestjs/common';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  LeakDetector,
  UserExecutionContext,
  type WebSocketIsolationOptions,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

import { serve } from '../support/node-process.js';
import { startApp } from '../support/test-app.js';

/** The counters of the application when its last hook runs. */
export interface Story {
  connected: number;
  disconnected: number;
  disposed: number;
  /** Disposers and disconnect hooks that found the pool closed. */
  tooLate: number;
  /** How often disconnect hooks got each close code. */
  codes: Record<number, number>;
}

const story: Story = { connected: 0, disconnected: 0, disposed: 0, tooLate: 0, codes: {} };

let stuckHandlers = 0;

/** Stands for a database pool: it closes in `onModuleDestroy`, the first hook of a shutdown. */
@Injectable()
class Pool implements OnModuleDestroy, OnApplicationShutdown {
  isOpen = true;

  onModuleDestroy(): void {
    this.isOpen = false;
  }

  onApplicationShutdown(): void {
    process.send?.(story);
  }

  async query(): Promise<void> {
    await turn();
    if (!this.isOpen) story.tooLate += 1;
  }
}

@Injectable({ scope: Scope.REQUEST })
class Session {
  constructor(readonly pool: Pool) {}

  async [Symbol.asyncDispose](): Promise<void> {
    await this.pool.query();
    story.disposed += 1;
  }
}

@IsolatedGateway({ path: '/app' })
class AppGateway {
  constructor(
    readonly context: UserExecutionContext,
    readonly manager: WebSocketManager,
    readonly session: Session,
    readonly pool: Pool,
  ) {}

  handleConnection(): void {
    story.connected += 1;
  }

  async handleDisconnect(_client: object, code: number): Promise<void> {
    story.codes[code] = (story.codes[code] ?? 0) + 1;
    await this.pool.query();
    story.disconnected += 1;
  }

  @SubscribeMessage('echo') echo(@MessageBody() data: unknown): unknown {
    return { event: 'echo', data };
  }

  /** Runs until the connection ends, so that later messages have to wait. */
  @SubscribeMessage('hang') async hang(): Promise<void> {
    const { signal } = this.manager;
    if (!signal.aborted) await once(signal, 'abort');
  }

  /** Never resolves, not even after the connection has ended. */
  @SubscribeMessage('stuck') stuck(): Promise<never> {
    stuckHandlers += 1;
    return new Promise(() => {});
  }

  @SubscribeMessage('fail') fail(@MessageBody() data: unknown): never {
    throw data;
  }
}

const options = JSON.parse(process.argv[2]!) as WebSocketIsolationOptions;
const testApp = await startApp({ providers: [AppGateway, Session, Pool], options });
testApp.app.enableShutdownHooks();

/** Bytes in use after a garbage collection. */
export interface Memory {
  readonly rss: number;
  readonly used: number;
}

const methods = {
  port: (): number => testApp.port,

  async memory(): Promise<Memory> {
    for (let round = 0; round < 3; round += 1) {
      globalThis.gc?.();
      await turn();
    }
    const { rss, heapUsed, external } = process.memoryUsage();
    return { rss, used: heapUsed + external };
  },

  ledger: () => testApp.app.get(LeakDetector).getReport().ledger,

  story: (): Story => story,

  stuckHandlers: (): number => stuckHandlers,

  polluted: (): boolean => 'polluted' in {},

  /**
   * Sends to every connection of a user until none is left: large messages until bytes are buffered, then messages of
   * the given size. Resolves with the highest number of bytes that were buffered for a connection.
   */
  async flood(userId: string, messageBytes: number): Promise<number> {
    const factory = testApp.app.get(WebSocketManagerFactory);
    const [large, small] = ['x'.repeat(16_384), 'x'.repeat(messageBytes)];
    let mostBuffered = 0;
    for (let managers; (managers = factory.managersOf(userId)).length > 0; await turn()) {
      for (const manager of managers) {
        for (let burst = 0; burst < 16; burst += 1) {
          manager.send('flood', manager.bufferedBytes > 0 ? small : large);
          mostBuffered = Math.max(mostBuffered, manager.bufferedBytes);
        }
      }
    }
    return mostBuffered;
  },

  /** Calls `sendAsync` `messages` times at once. Resolves with the number of rejected calls. */
  async floodAsync(userId: string, messages: number): Promise<number> {
    const [manager] = testApp.app.get(WebSocketManagerFactory).managersOf(userId);
    const text = 'x'.repeat(16_384);
    const sends = Array.from({ length: messages }, () => manager!.sendAsync('flood', text));
    const results = await Promise.allSettled(sends);
    return results.filter(({ status }) => status === 'rejected').length;
  },
};

export type ServerMethods = typeof methods;

serve(methods);
