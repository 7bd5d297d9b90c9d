import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
  type PipeTransform,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { ConnectedSocket, MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  CurrentManager,
  IsolatedGateway,
  IsolationEventBus,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import type { Observable } from 'rxjs';
import type { WebSocket } from 'ws';

import { TrafficCounters } from '../../src/connection/traffic-counters.js';
import { frame, RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { startApp, type TestApp } from '../support/test-app.js';

type End = (client: WebSocket, manager: WebSocketManager) => unknown;

/** The ways in which an app can end a connection. */
const ENDS: Readonly<Record<string, End>> = {
  'client.close()': (client) => client.close(4001),
  'client.terminate()': (client) => client.terminate(),
  'manager.close()': (_client, manager) => void manager.close(4001),
  'manager.socket.close()': (_client, manager) => manager.socket!.close(4001),
};

let end: End;
let release!: () => void;
let released!: Promise<void>;
let hasEnded: boolean;
let handled: string[];
beforeEach(() => {
  handled = [];
  hasEnded = false;
  released = new Promise((resolve) => (release = resolve));
});

@Injectable()
class ThinkingGuard implements CanActivate {
  async canActivate(): Promise<boolean> {
    await released;
    return true;
  }
}

@Injectable()
class ThinkingPipe implements PipeTransform {
  async transform(value: unknown): Promise<unknown> {
    await released;
    return value;
  }
}

@Injectable()
class ThinkingInterceptor implements NestInterceptor {
  async intercept(_context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    await released;
    return next.handle();
  }
}

/** Each message waits for an asynchronous enhancer before its handler. */
@IsolatedGateway({ path: '/thinking' })
class ThinkingGateway {
  @UseGuards(ThinkingGuard)
  @SubscribeMessage('guard')
  guard(): void {
    handled.push('guard');
  }

  @SubscribeMessage('pipe') pipe(@MessageBody(ThinkingPipe) _body: unknown): void {
    handled.push('pipe');
  }

  @UseInterceptors(ThinkingInterceptor)
  @SubscribeMessage('interceptor')
  interceptor(): void {
    handled.push('interceptor');
  }

  @UseGuards(ThinkingGuard)
  @SubscribeMessage('guard and pipe')
  both(@MessageBody(ThinkingPipe) _body: unknown): void {
    handled.push('guard and pipe');
  }
}

/** The connect hook of two gateways on the same path: the first one to run ends the connection. */
async function refuse(client: WebSocket): Promise<void> {
  await released;
  if (hasEnded) handled.push('another connect hook');
  hasEnded = true;
  end(client, manager());
}

@IsolatedGateway({ path: '/refusing' })
class RefusingGateway {
  handleConnection(client: WebSocket): Promise<void> {
    return refuse(client);
  }

  @SubscribeMessage('work') work(): void {
    handled.push('work');
  }
}

@IsolatedGateway({ path: '/refusing' })
class SecondGateway {
  handleConnection(client: WebSocket): Promise<void> {
    return refuse(client);
  }
}

@UseGuards(ThinkingGuard)
@IsolatedGateway({ path: '/guarded' })
class GuardedGateway {
  handleConnection(): void {
    handled.push('connect hook');
  }

  @SubscribeMessage('work') work(): void {
    handled.push('work');
  }
}

@IsolatedGateway({ path: '/busy' })
class BusyGateway {
  @SubscribeMessage('end') end(
    @ConnectedSocket() client: WebSocket,
    @CurrentManager() manager: WebSocketManager,
  ): void {
    end(client, manager);
  }

  @SubscribeMessage('slow') async slow(): Promise<void> {
    await released;
    handled.push('slow');
  }

  @SubscribeMessage('work') work(): void {
    handled.push('work');
  }
}

/** The handler of two gateways on the same path: the first one to run ends the connection. */
function endForBoth(client: WebSocket, own: WebSocketManager): void {
  if (hasEnded) handled.push('another handler');
  hasEnded = true;
  end(client, own);
}

@IsolatedGateway({ path: '/both' })
class OneGateway {
  @SubscribeMessage('end')
  end(@ConnectedSocket() client: WebSocket, @CurrentManager() own: WebSocketManager): void {
    endForBoth(client, own);
  }
}

@IsolatedGateway({ path: '/both' })
class OtherGateway {
  @SubscribeMessage('end')
  end(@ConnectedSocket() client: WebSocket, @CurrentManager() own: WebSocketManager): void {
    endForBoth(client, own);
  }
}

let testApp: TestApp;
afterEach(() => testApp.close());

async function start(): Promise<void> {
  testApp = await startApp({
    providers: [
      RefusingGateway,
      SecondGateway,
      GuardedGateway,
      BusyGateway,
      ThinkingGateway,
      OneGateway,
      OtherGateway,
    ],
    options: { inbound: { concurrency: 1 } },
  });
}

const traffic = (): TrafficCounters => testApp.app.get(TrafficCounters, { strict: false });
const received = (count: number): Promise<void> =>
  eventually(() => expect(traffic().received).toBe(count));
const manager = (): WebSocketManager =>
  testApp.app.get(WebSocketManagerFactory).managersOf('ada')[0]!;

async function upgraded(): Promise<RawSocket> {
  const raw = await RawSocket.open(testApp.port);
  raw.write(upgradeRequest('/busy?user=ada'));
  await eventually(() => expect(raw.status).toBe(101));
  return raw;
}

function sendThrice(client: TestClient): void {
  for (let sent = 0; sent < 3; sent += 1) client.send('work');
}

describe('A connection that is closing', () => {
  it.each(Object.entries(ENDS))(
    'handles no message that waits for a connect hook which refuses by %s',
    async (_name, way) => {
      end = way;
      await start();
      const client = await testApp.connect('/refusing?user=ada');
      sendThrice(client);
      await received(3);
      release();
      await client.closed();
      sendThrice(client);
      await eventually(() =>
        expect(testApp.app.get(WebSocketManagerFactory).managersOf('ada')).toEqual([]),
      );
      expect(handled).toEqual([]);
      expect(traffic().ignored.closing).toBe(3);
    },
  );

  it.each(Object.entries(ENDS))(
    'handles no message from the same chunk as the message whose handler ends it by %s',
    async (_name, way) => {
      end = way;
      await start();
      const raw = await upgraded();
      const texts = ['end', 'work', 'work'].map((event) => JSON.stringify({ event }));
      raw.write(Buffer.concat(texts.map((text) => frame(text))));
      await received(3);
      await eventually(() => expect(raw.isClosed).toBe(true));
      expect(handled).toEqual([]);
      expect(traffic().ignored.closing).toBe(2);
    },
  );

  it.each(Object.entries(ENDS))(
    'starts no handler for waiting messages, after %s from other code',
    async (_name, way) => {
      end = way;
      await start();
      const client = await testApp.connect('/busy?user=ada');
      client.send('slow');
      sendThrice(client);
      await received(4);
      const socket = manager().socket as unknown as WebSocket;
      end(socket, manager());
      release();
      await client.closed();
      await eventually(() => expect(handled).toEqual(['slow']));
      await eventually(() =>
        expect(testApp.app.get(WebSocketManagerFactory).managersOf('ada')).toEqual([]),
      );
      expect(handled).toEqual(['slow']);
      expect(traffic().ignored.closing).toBe(3);
    },
  );

  it.each(Object.entries(ENDS))(
    'starts no handler of another gateway for the message whose handler ends it by %s',
    async (_name, way) => {
      end = way;
      await start();
      const client = await testApp.connect('/both?user=ada');
      client.send('end', undefined, 1);
      await client.closed();
      await eventually(() =>
        expect(testApp.app.get(WebSocketManagerFactory).managersOf('ada')).toEqual([]),
      );
      expect(hasEnded).toBe(true);
      expect(handled).toEqual([]);
      expect(traffic()).toMatchObject({ inFlight: 0, ignored: { closing: 1 } });
    },
  );

  it('handles no message that a client sends after its own close frame', async () => {
    await start();
    const raw = await upgraded();
    const goodbye = frame(Buffer.from([0x03, 0xe8]), { opcode: 8 });
    raw.write(Buffer.concat([goodbye, frame('{"event":"work"}'), frame('{"event":"work"}')]));
    await eventually(() => expect(raw.isClosed).toBe(true));
    expect(handled).toEqual([]);
  });

  it('runs no connect hook after a guard that was still running', async () => {
    await start();
    const client = await testApp.connect('/guarded?user=ada');
    sendThrice(client);
    await received(3);
    manager().socket!.close(4001);
    release();
    await client.closed();
    await eventually(() =>
      expect(testApp.app.get(WebSocketManagerFactory).managersOf('ada')).toEqual([]),
    );
    expect(handled).toEqual([]);
  });

  describe.each(Object.entries(ENDS))('by %s from other code', (_name, way) => {
    it.each(['guard', 'pipe', 'interceptor', 'guard and pipe'])(
      'does not call a handler whose %s was still running',
      async (event) => {
        await start();
        const outcomes: string[] = [];
        const bus = testApp.app.get(IsolationEventBus);
        bus.on('message-handled', ({ outcome }) => void outcomes.push(outcome));
        bus.on('message-dropped', ({ reason }) => void outcomes.push(reason));
        const client = await testApp.connect('/thinking?user=ada');
        client.send(event, {});
        await eventually(() => expect(traffic().inFlight).toBe(1));
        way(manager().socket as unknown as WebSocket, manager());
        release();
        await client.closed();
        await eventually(() => expect(traffic().inFlight).toBe(0));
        expect(handled).toEqual([]);
        expect(traffic().ignored.closing).toBe(1);
        expect(outcomes).toEqual(['closing']);
      },
    );
  });
});
