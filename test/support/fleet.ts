import { EventEmitter } from 'node:events';

import { Logger } from '@nestjs/common';

import { CleanupService } from '../../src/cleanup/cleanup.service.js';
import { Heartbeat } from '../../src/cleanup/heartbeat.js';
import { Removal } from '../../src/cleanup/removal.js';
import type {
  ResolvedOptions,
  WebSocketIsolationOptions,
} from '../../src/config/isolation.options.js';
import { resolveOptions } from '../../src/config/resolve-options.js';
import { UserExecutionContext } from '../../src/context/user-execution-context.js';
import { Journal } from '../../src/journal/journal.js';
import { Limits } from '../../src/manager/limits.js';
import type { ManagedSocket } from '../../src/wire/managed-socket.js';
import { ManagerRegistry } from '../../src/manager/manager-registry.js';
import type { WebSocketManager } from '../../src/manager/web-socket-manager.js';
import { WebSocketManagerFactory } from '../../src/manager/web-socket-manager.factory.js';
import { LeakDetector } from '../../src/monitoring/leak.detector.js';
import { FakeClock } from '../../src/testing/fake-clock.js';

Logger.overrideLogger(false);

/** A fake socket whose peer the test controls. The peer replies to pings and close frames, unless `isSilent` is set. */
export class FakeSocket extends EventEmitter implements ManagedSocket {
  readyState = 1;
  bufferedAmount = 0;
  isSilent = false;
  closedWith: { code: number; reason: string } | undefined;
  pings = 0;
  readonly sent: string[] = [];

  /** @param later schedules the arrival of the peer's replies */
  constructor(private readonly later: (arrive: () => void) => void = queueMicrotask) {
    super();
  }

  send(data: string | Buffer, _options: unknown, callback?: (error?: Error | null) => void): void {
    this.sent.push(String(data));
    callback?.();
  }

  close(code = 1000, reason = ''): void {
    this.closedWith = { code, reason };
    this.readyState = 2;
    if (!this.isSilent) this.later(() => this.#gone(code, reason));
  }

  terminate(): void {
    this.later(() => this.#gone(1006, ''));
  }

  ping(): void {
    this.pings += 1;
    if (!this.isSilent) this.later(() => this.emit('pong'));
  }

  /** Simulates a message from the peer. */
  say(text = '{}'): void {
    this.emit('message', Buffer.from(text));
  }

  /** Simulates that the peer closes the connection. */
  leave(code = 1000): void {
    this.#gone(code, '');
  }

  #gone(code: number, reason: string): void {
    if (this.readyState === 3) return;
    this.readyState = 3;
    this.emit('close', code, Buffer.from(reason));
  }
}

/** A factory with its collaborators, on a fake clock and without a server. */
export class Fleet {
  readonly clock = new FakeClock();
  readonly options: ResolvedOptions;
  readonly registry = new ManagerRegistry(this.clock);
  readonly journal = new Journal(this.clock);
  readonly removal = new Removal(this.journal);
  readonly limits: Limits;
  readonly cleanup: CleanupService;
  readonly factory: WebSocketManagerFactory;
  readonly heartbeat: Heartbeat;
  readonly leaks: LeakDetector;
  readonly sockets = new Map<WebSocketManager, FakeSocket>();

  constructor(options: WebSocketIsolationOptions = {}) {
    const { clock, registry, journal, removal } = this;
    this.options = resolveOptions(options);
    this.limits = new Limits(this.options.limits);
    this.cleanup = new CleanupService(this.options, clock, registry, this.limits, journal, removal);
    this.factory = new WebSocketManagerFactory(
      this.options,
      clock,
      registry,
      this.limits,
      journal,
      this.cleanup,
      this.options.cluster?.create({ clock, journal }),
    );
    this.heartbeat = new Heartbeat(this.options, clock, registry, removal);
    this.leaks = new LeakDetector(this.options, clock, registry, journal, this.factory);
  }

  context(userId: string, threadId = 'tea'): UserExecutionContext {
    return UserExecutionContext.fromWebSocketRequest({ userId, threadId });
  }

  /** Creates a connection of a user, with an open socket. */
  async connect(
    userId: string,
    { isSilent = false, socket = new FakeSocket() } = {},
  ): Promise<WebSocketManager> {
    socket.isSilent = isSilent;
    const manager = await this.factory.createManager(this.context(userId), { socket });
    this.sockets.set(manager, socket);
    return manager;
  }

  connectMany(
    userId: string,
    count: number,
    setup?: { isSilent: boolean },
  ): Promise<WebSocketManager[]> {
    return Promise.all(Array.from({ length: count }, () => this.connect(userId, setup)));
  }

  socketOf(manager: WebSocketManager): FakeSocket {
    return this.sockets.get(manager)!;
  }

  live(userId: string): number {
    return this.factory.managersOf(userId).length;
  }
}
