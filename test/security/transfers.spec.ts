import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';

import { afterEach, describe, expect, it } from '@jest/globals';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ConnectedSocket, MessageBody, SubscribeMessage } from '@nestjs/websockets';
import {
  IsolatedGateway,
  WebSocketIsolationModule,
  type WebSocketIsolationOptions,
  WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import {
  eventually,
  FakeClock,
  TestApplication,
  TestClient,
} from 'nestjs-websocket-isolation/testing';
import type { WebSocket } from 'ws';

import { closeFrames, frame, RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { queryAuthenticator, startApp } from '../support/test-app.js';
import { tlsClient, tlsServer } from '../support/tls.js';

const MIB = 1024 * 1024;

@IsolatedGateway({ path: '/transfer' })
class TransferGateway {
  constructor(readonly manager: WebSocketManager) {}

  @SubscribeMessage('measure') measure(@MessageBody() text: string): unknown {
    return { event: 'length', data: text.length };
  }

  @SubscribeMessage('big') big(): unknown {
    return { event: 'big', data: 'x'.repeat(32 * MIB) };
  }

  @SubscribeMessage('pause') pause(@ConnectedSocket() client: WebSocket): unknown {
    client.pause();
    return { event: 'paused' };
  }
}

let clock: FakeClock;
let app: TestApplication;
afterEach(() => app.close());

const options = (more: WebSocketIsolationOptions = {}): WebSocketIsolationOptions => ({
  clock: (clock = new FakeClock()),
  ...more,
  heartbeat: { intervalMs: 200, timeoutMs: 400, ...more.heartbeat },
  inbound: { maxPayloadBytes: 8 * MIB },
  outbound: { maxBufferedBytes: 64 * MIB },
});

async function start(more?: WebSocketIsolationOptions): Promise<void> {
  app = await startApp({ providers: [TransferGateway], options: options(more) });
}

const manager = (): WebSocketManager | undefined =>
  app.app.get(WebSocketManagerFactory).managersOf('ada')[0];
const transport = (): Socket => (manager()!.socket as unknown as { _socket: Socket })._socket;

async function openRaw(): Promise<RawSocket> {
  const raw = await RawSocket.open(app.port);
  raw.write(upgradeRequest('/transfer?user=ada'));
  await eventually(() => expect(raw.status).toBe(101));
  return raw;
}

/** Returns the bytes of the current frame that the operating system has not accepted yet. */
function queued(): number {
  const { _handle: handle } = transport() as unknown as { _handle: { writeQueueSize: number } };
  return handle.writeQueueSize;
}

/** Reads one chunk of the received data. */
function readOnce(socket: Socket): void {
  socket.once('data', () => socket.pause());
  socket.resume();
}

const message = frame(JSON.stringify({ event: 'measure', data: 'x'.repeat(4 * MIB) }));
/** An upload takes three seconds of the server's fake time. */
const PIECES = 30;
const PIECE_MS = 100;
const piece = (index: number): Buffer => {
  const size = Math.ceil(message.length / PIECES);
  return message.subarray(index * size, (index + 1) * size);
};

/** Sends pieces of a message, `PIECE_MS` of fake time apart. */
async function upload(socket: Socket, pieces: number): Promise<void> {
  let sent = transport().bytesRead;
  for (let index = 0; index < pieces; index += 1) {
    socket.write(piece(index));
    sent += piece(index).length;
    // With TLS, data arrives in whole records.
    await eventually(() => expect(transport().bytesRead).toBeGreaterThanOrEqual(sent), 20_000);
    await clock.advance(PIECE_MS);
    expect(manager()?.isActive).toBe(true);
  }
}

describe('a client that sends one large message slowly', () => {
  it('is not treated as dead: received bytes are a sign of life', async () => {
    await start();
    const raw = await openRaw();
    await upload(raw.socket, PIECES);
    await eventually(() => expect(raw.received).toContain(`{"event":"length","data":${4 * MIB}}`));
    expect(closeFrames(raw.bytes)).toEqual([]);
    raw.destroy();
  });

  it('is not treated as dead over TLS', async () => {
    @Module({
      imports: [
        WebSocketIsolationModule.forRoot({ authenticator: queryAuthenticator, ...options() }),
      ],
      providers: [TransferGateway],
    })
    class SecureModule {}
    const nest = await NestFactory.create(SecureModule, { logger: false, httpsOptions: tlsServer });
    await nest.listen(0, '127.0.0.1');
    app = new TestApplication(nest);
    const { port } = app;
    expect(app.url('/transfer')).toBe(`wss://127.0.0.1:${port}/transfer`);
    const socket = connectTls({ ...tlsClient, port, host: '127.0.0.1' });
    await once(socket, 'secureConnect');
    socket.write(upgradeRequest('/transfer?user=ada'));
    await eventually(() => expect(manager()?.state).toBe('ready'));
    await upload(socket, PIECES);
    socket.destroy();
  });

  it('is closed with 4443 when it stops in the middle', async () => {
    await start();
    const raw = await openRaw();
    await upload(raw.socket, 10);
    await clock.advance(2_000);
    expect(manager()).toBeUndefined();
    await eventually(() => expect(closeFrames(raw.bytes)).toEqual([4443]));
  });

  it('is closed with 4443 when the message takes longer than heartbeat.transferTimeoutMs', async () => {
    await start({ heartbeat: { transferTimeoutMs: 1_500 } });
    const raw = await openRaw();
    await upload(raw.socket, 10);
    for (let index = 10; index < PIECES && manager(); index += 1) {
      raw.write(piece(index));
      await clock.advance(PIECE_MS);
    }
    expect(manager()).toBeUndefined();
    await eventually(() => expect(closeFrames(raw.bytes)).toEqual([4443]));
  });

  it('is not treated as idle', async () => {
    await start({
      cleanup: { staleAfterMs: 1_500, idleTimeoutMs: 1_500, proactiveIntervalMs: 50 },
    });
    const raw = await openRaw();
    await upload(raw.socket, PIECES);
    await eventually(() => expect(raw.received).toContain('"length"'));
    raw.destroy();
  });

  it('is not replaced by an arrival at the limit', async () => {
    // Long times, so that the heartbeat does not interfere.
    const heartbeat = { intervalMs: 60_000, timeoutMs: 60_000 };
    await start({ limits: { maxManagersPerUser: 1 }, heartbeat });
    const raw = await openRaw();
    await upload(raw.socket, 5);
    const arrival = TestClient.open(app.url('/transfer?user=ada')).catch((error) => error);
    const first = manager()!;
    await eventually(() => expect(first.pingedAt).toBeGreaterThan(0));
    raw.write(piece(5));
    const read = transport().bytesRead;
    await eventually(() => expect(transport().bytesRead).toBeGreaterThan(read));
    await clock.advance(2_000);
    expect(await arrival).toMatchObject({ status: 429 });
    expect(first.isActive).toBe(true);
    raw.destroy();
  });
});

describe('a client that reads one large message slowly', () => {
  it('is not treated as dead while it reads, but when it stops', async () => {
    await start();
    const raw = await openRaw();
    raw.write(frame('{"event":"big"}'));
    await eventually(() => expect(manager()!.bufferedBytes).toBeGreaterThan(0));
    raw.socket.pause();
    for (let step = 0; step < 12; step += 1) {
      const before = queued();
      await eventually(() => {
        readOnce(raw.socket);
        expect(queued()).toBeLessThan(before);
      });
      await clock.advance(PIECE_MS);
      expect(manager()?.isActive).toBe(true);
    }
    expect(queued()).toBeGreaterThan(0);
    // Data in the buffers of the operating system may still be delivered.
    for (let second = 0; second < 20 && manager(); second += 1) await clock.advance(1_000);
    expect(manager()).toBeUndefined();
    raw.destroy();
  });
});

describe('a client whose reading the app has paused', () => {
  it('is not treated as dead', async () => {
    await start();
    const client = await TestClient.open(app.url('/transfer?user=ada'));
    await client.ask('pause');
    for (let second = 0; second < 5; second += 1) await clock.advance(1_000);
    expect(client.closeCode).toBeUndefined();
    expect(manager()?.isActive).toBe(true);
    client.terminate();
  });
});
