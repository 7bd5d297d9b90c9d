// An application in a process in which a tracing agent has wrapped `ws` before any other module was loaded.
import { SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';

import { serve } from '../support/node-process.js';
import { startApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/app' })
class AppGateway {
  constructor(readonly manager: WebSocketManager) {}

  handleConnection(): void {
    this.manager.send('hook');
  }

  @SubscribeMessage('ask') ask(): unknown {
    return { event: 'value' };
  }

  @SubscribeMessage('fail') fail(): never {
    throw new Error('planted');
  }
}

const testApp = await startApp({ providers: [AppGateway] });

const methods = {
  port: (): number => testApp.port,

  /** Sends a message with each send method of the library. */
  async sendEachWay(userId: string): Promise<void> {
    const [manager] = testApp.app.get(WebSocketManagerFactory).managersOf(userId);
    manager!.send('send');
    await manager!.sendAsync('send-async');
    manager!.emitCritical('emit-critical');
    testApp.app.get(WebSocketEmitter).toUser(userId).send('to-user');
  },

  seen: (): readonly string[] => (globalThis as unknown as { tracedTexts: string[] }).tracedTexts,

  close: (): Promise<void> => testApp.close(),
};

export type TracedServerMethods = typeof methods;
serve(methods);
