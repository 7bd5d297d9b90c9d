import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

import { Inject, Injectable, Scope } from '@nestjs/common';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManager,
} from 'nestjs-websocket-isolation';

import { Book } from './book.js';

/** A fault that can be planted, to check that the validation fails. */
export type Fault = 'keep-managers' | 'raise-limit';

export const FAULT: unique symbol = Symbol('validation:fault');

/** The behaviour of a disposer. */
export type Disposal = 'hangs' | 'throws' | 'rejects' | 'takes its time';

const disposals: Readonly<Record<Disposal, () => unknown>> = {
  hangs: () => new Promise(() => undefined),
  throws: () => {
    throw new Error('planned');
  },
  rejects: () => Promise.reject(new Error('planned')),
  'takes its time': () => sleep(100),
};

const kept = new Set<WebSocketManager>();

/** A service of the app that lives as long as its connection. */
@Injectable({ scope: Scope.REQUEST })
export class ConnectionService {
  readonly id: string = randomUUID();

  constructor(
    readonly context: UserExecutionContext,
    private readonly book: Book,
  ) {}

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.resolve();
    this.book.of(this.context.userId).services.push(this.context.connectionId);
  }
}

/** The ids that each part of the server has for the connection. */
export interface WhoAmI {
  readonly userId: string;
  readonly connectionId: string;
  readonly context: string;
  readonly manager: string;
  readonly service: string;
  readonly key: string;
  readonly managerId: string;
  readonly serviceId: string;
}

@IsolatedGateway({ path: '/' })
export class ValidationGateway {
  #work: Disposable | undefined;

  constructor(
    private readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
    private readonly service: ConnectionService,
    private readonly book: Book,
    @Inject(FAULT) fault: Fault | null,
  ) {
    if (fault === 'keep-managers') kept.add(manager);
  }

  @SubscribeMessage('tick')
  tick(): void {
    // Only creates traffic.
  }

  @SubscribeMessage('say')
  say(@MessageBody() data: unknown) {
    this.book.of(this.context.userId).handled += 1;
    return { event: 'said', data: { data, ...this.whoAmI().data } };
  }

  @SubscribeMessage('who-am-i')
  whoAmI(): { event: string; data: WhoAmI } {
    const { context, manager, service } = this;
    return {
      event: 'you-are',
      data: {
        userId: context.userId,
        connectionId: context.connectionId,
        context: context.threadId,
        manager: manager.context.threadId,
        service: service.context.threadId,
        key: context.isolationKey,
        managerId: manager.managerId,
        serviceId: service.id,
      },
    };
  }

  @SubscribeMessage('start-work')
  startWork() {
    this.#work = this.manager.pin('work');
    return { event: 'working' };
  }

  @SubscribeMessage('end-work')
  endWork() {
    this.#work?.[Symbol.dispose]();
    return { event: 'idle' };
  }

  @SubscribeMessage('dispose')
  dispose(@MessageBody() disposal: Disposal) {
    this.manager.onDispose(disposals[disposal]);
    return { event: 'will-dispose' };
  }

  @SubscribeMessage('statistics')
  statistics() {
    return { event: 'statistics', data: this.manager.getStats() };
  }
}
