import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';

import { afterEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  IsolatedWsAdapter,
  UserExecutionContext,
  WebSocketEmitter,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import { WebSocket, WebSocketServer } from 'ws';

import { startApp, type TestApp } from '../support/test-app.js';

/** The number of frames that `ws` has assembled: it corks the socket while it writes header and payload. */
let sentByWs = 0;
/** The number of messages that were sent through the app's own `send()`. */
let sentByApp = 0;

@IsolatedGateway({ path: '/news' })
class NewsGateway {
  constructor(readonly manager: WebSocketManager) {}

  handleConnection(client: WebSocket): void {
    const { _socket: socket } = client as unknown as { _socket: Socket };
    const cork = socket.cork.bind(socket);
    socket.cork = () => {
      sentByWs += 1;
      cork();
    };
  }

  @SubscribeMessage('override')
  override(client: WebSocket): unknown {
    const send = client.send.bind(client) as (...args: unknown[]) => void;
    client.send = (...args: unknown[]) => {
      sentByApp += 1;
      send(...args);
    };
    return { event: 'overridden' };
  }

  @SubscribeMessage('mix')
  async mix(client: WebSocket): Promise<unknown> {
    this.manager.send('line', 0);
    client.send(JSON.stringify({ event: 'line', data: 1 }));
    this.manager.send('line', 2);
    client.send(new Blob([JSON.stringify({ event: 'line', data: 3 })]), { binary: false });
    this.manager.send('line', 4);
    await this.manager.sendAsync('line', 5);
    this.manager.emitCritical('line', 6);
    return { event: 'line', data: 7 };
  }
}

let testApp: TestApp;
afterEach(() => testApp.close());

async function start(perMessageDeflate: boolean): Promise<WebSocketEmitter> {
  sentByWs = 0;
  sentByApp = 0;
  testApp = await startApp({
    providers: [NewsGateway],
    prepare: (app) => app.useWebSocketAdapter(new IsolatedWsAdapter(app, { perMessageDeflate })),
  });
  return testApp.app.get(WebSocketEmitter);
}

const connect = (perMessageDeflate: boolean): Promise<TestClient> =>
  TestClient.open(testApp.url('/news?user=ada'), { perMessageDeflate });

/** Returns data with which the whole message has this many bytes. */
function textOf(bytes: number, filling: string): string {
  const room = bytes - Buffer.byteLength(JSON.stringify({ event: 'news', data: '' }));
  const width = Buffer.byteLength(filling);
  return filling.repeat(Math.floor(room / width)) + '.'.repeat(room % width);
}

// Lengths around the limits at which the encoding of the length changes (RFC 6455, section 5.2).
const LENGTHS = [40, 125, 126, 127, 65_535, 65_536, 200_000];

describe('a message', () => {
  it.each(['x', 'é', '漢', '🚲'])(
    'of any length arrives unchanged, made of %s',
    async (filling) => {
      const emitter = await start(false);
      const one = await connect(false);
      for (const length of LENGTHS) {
        const text = textOf(length, filling);
        expect(emitter.toUser('ada').send('news', text)).toMatchObject({ dropped: 0 });
        expect((await one.next('news')).data).toBe(text);
      }
      const many = [one, await connect(false), await connect(false)];
      for (const length of LENGTHS) {
        const text = textOf(length, filling);
        emitter.toUser('ada').send('news', text);
        for (const client of many) expect((await client.next('news')).data).toBe(text);
      }
      // The library wrote all frames itself, so its assumptions about the internals of `ws` still hold.
      expect(sentByWs).toBe(0);
    },
  );

  it('is compressed for clients that have negotiated compression, and plain for the others', async () => {
    const emitter = await start(true);
    const compressing = await connect(true);
    const plain = await connect(false);
    const text = textOf(200_000, 'é');
    emitter.toUser('ada').send('news', text);
    for (const client of [compressing, plain]) {
      expect((await client.next('news')).data).toBe(text);
    }
    expect(sentByWs).toBe(1);
    expect(bytesReadBy(compressing)).toBeLessThan(20_000);
    expect(bytesReadBy(plain)).toBeGreaterThan(200_000);
  });

  it('is masked if the socket of the manager is a client', async () => {
    await start(false);
    const server = new WebSocketServer({ port: 0 });
    try {
      const heard = new Promise((resolve, reject) => {
        server.on('connection', (peer) => {
          peer.on('message', (data: Buffer) => resolve(data.toString()));
          peer.on('error', reject);
        });
      });
      const socket = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
      await once(socket, 'open');
      const context = UserExecutionContext.fromWebSocketRequest({ userId: 'ada' });
      const factory = testApp.app.get(WebSocketManagerFactory);
      const manager = await factory.createManager(context, { socket });
      manager.send('news', 'masked');
      expect(await heard).toBe('{"event":"news","data":"masked"}');
      await manager.close();
    } finally {
      server.close();
    }
  });

  it('goes through a `send()` with which the app has replaced that of `ws`', async () => {
    const emitter = await start(false);
    const client = await connect(false);
    await client.ask('override');
    emitter.toUser('ada').send('news', 'seen');
    expect((await client.next('news')).data).toBe('seen');
    // The reply to "override" and the news.
    expect(sentByApp).toBe(2);
  });

  it.each([false, true])(
    'keeps its order among messages that the app sends itself, compression %s',
    async (isCompressing) => {
      await start(isCompressing);
      const client = await connect(isCompressing);
      client.send('mix');
      await eventually(() => expect(client.messages).toHaveLength(8));
      expect(client.messages.map(({ data }) => data as number)).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
    },
  );
});

function bytesReadBy({ socket }: TestClient): number {
  return (socket as unknown as { _socket: { bytesRead: number } })._socket.bytesRead;
}
