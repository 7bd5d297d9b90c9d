// An application with Nest's own event emitter, in a separate process, because an uncaught error of a listener ends it.
import { Controller, Get, Injectable, type LoggerService, Scope } from '@nestjs/common';
import { ModuleRef } from '@nestjs/core';
import { EventEmitter2, EventEmitterModule, OnEvent } from '@nestjs/event-emitter';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManager,
} from 'nestjs-websocket-isolation';

import { serve } from '../support/node-process.js';
import { startApp } from '../support/test-app.js';

const heard: string[] = [];
const errors: string[] = [];

/** A provider for gateways. The listeners use it by mistake, where there is no connection. */
@Injectable({ scope: Scope.REQUEST })
class Notes {
  constructor(
    private readonly manager: WebSocketManager,
    private readonly context: UserExecutionContext,
  ) {}

  @OnEvent('uses.manager') usesManager(): void {
    this.manager.send('never');
  }

  @OnEvent('uses.context') usesContext(): void {
    heard.push(this.context.userId);
  }

  @OnEvent('uses.none') usesNone(): void {
    heard.push('without a connection');
  }
}

@IsolatedGateway({ path: '/events' })
class EventGateway {
  constructor(
    private readonly context: UserExecutionContext,
    private readonly manager: WebSocketManager,
    private readonly emitter: EventEmitter2,
  ) {}

  @SubscribeMessage('emit') emit(_client: object, event: string): unknown {
    this.emitter.emit(event, { text: 'tea' });
    return { event: 'emitted', data: [this.context.userId, this.manager.isActive] };
  }
}

@Controller({ path: 'manager', scope: Scope.REQUEST })
class ManagerController {
  constructor(private readonly manager: WebSocketManager) {}

  @Get() read(): unknown {
    return this.manager.managerId;
  }
}

const logger: LoggerService = {
  log: () => undefined,
  warn: () => undefined,
  error: (message: unknown) => void errors.push(String(message)),
};
const app = await startApp({
  providers: [Notes, EventGateway],
  controllers: [ManagerController],
  imports: [EventEmitterModule.forRoot()],
  logger,
});

const methods = {
  port: (): number => app.port,
  emit: (event: string, ...payload: unknown[]): void => {
    app.app.get(EventEmitter2).emit(event, ...payload);
  },
  errors: (): readonly string[] => errors.splice(0),
  heard: (): readonly string[] => heard.splice(0),
  /** Resolves a provider like libraries for queue consumers do, with a new context id. */
  async resolve(): Promise<string> {
    const moduleRef = app.app.get(ModuleRef);
    const notes = await moduleRef.resolve(Notes, undefined, { strict: false });
    try {
      notes.usesManager();
      return 'nothing thrown';
    } catch (error) {
      return (error as { code: string }).code;
    }
  },
  close: (): Promise<void> => app.close(),
};

export type EventListenerMethods = typeof methods;
serve(methods);
