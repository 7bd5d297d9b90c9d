import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ConnectedSocket, SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway, LeakDetector, WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import { eventually, type TestClient } from 'nestjs-websocket-isolation/testing';
import type { WebSocket } from 'ws';

import { realProcess } from '../support/real-process.js';
import { startApp, type TestApp } from '../support/test-app.js';

/** Things that an app may do to a socket so that its close event is lost. */
const DEEDS: Readonly<Record<string, (client: WebSocket) => void>> = {
  'all listeners are removed': (client) => void client.removeAllListeners(),
  'the listeners for its close are removed': (client) => void client.removeAllListeners('close'),
  'a listener of the app throws': (client) => {
    client.on('message', () => {
      throw new Error('planned');
    });
  },
  'terminate() is replaced by a no-op': (client) => {
    client.terminate = () => undefined;
    client.removeAllListeners('close');
  },
};

const disconnected: string[] = [];
let deed: string;

@IsolatedGateway({ path: '/live' })
class LiveGateway {
  handleDisconnect(): void {
    disconnected.push(deed);
  }

  @SubscribeMessage('do') do(@ConnectedSocket() client: WebSocket): unknown {
    DEEDS[deed]!(client);
    return { event: 'done' };
  }
}

// Like an error tracker: the process continues after an uncaught error.
const swallow = (): void => undefined;
let others: NodeJS.UncaughtExceptionListener[] = [];
beforeEach(() => {
  disconnected.length = 0;
  others = realProcess.listeners('uncaughtException');
  realProcess.removeAllListeners('uncaughtException');
  realProcess.on('uncaughtException', swallow);
});
afterEach(async () => {
  await testApp.close();
  realProcess.off('uncaughtException', swallow);
  for (const listener of others) realProcess.on('uncaughtException', listener);
});

let testApp: TestApp;
async function open(): Promise<TestClient> {
  testApp = await startApp({
    providers: [LiveGateway],
    options: {
      heartbeat: { intervalMs: 64, timeoutMs: 500 },
      cleanup: { closeTimeoutMs: 200 },
    },
  });
  return testApp.connect('/live?user=ada');
}

const ledger = (): unknown => testApp.app.get(LeakDetector).getReport().ledger;

describe.each(Object.keys(DEEDS))('A connection where %s', (name) => {
  beforeEach(() => {
    deed = name;
  });

  it('ends when its client disconnects, and releases its slot', async () => {
    const client = await open();
    expect(await client.ask('do')).toEqual({ event: 'done' });
    client.send('do');
    client.terminate();
    await eventually(() => expect(ledger()).toEqual({ created: 1, active: 0, disposed: 1 }));
    expect(disconnected).toEqual([name]);
    expect(testApp.app.get(WebSocketManagerFactory).managersOf('ada')).toEqual([]);
  });

  it('does not keep the application from closing', async () => {
    const client = await open();
    expect(await client.ask('do')).toEqual({ event: 'done' });
    client.send('do');
    await testApp.close();
    expect(ledger()).toEqual({ created: 1, active: 0, disposed: 1 });
    expect(disconnected).toEqual([name]);
  });
});
