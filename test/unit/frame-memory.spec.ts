import { once } from 'node:events';
import type { AddressInfo, Socket } from 'node:net';
import { createServer, type Server } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import { PassThrough } from 'node:stream';

import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { eventually } from 'nestjs-websocket-isolation/testing';
import { type ClientOptions, WebSocket, WebSocketServer } from 'ws';

import { giveBack, mayReuse, memoryFor } from '../../src/wire/frame-memory.js';
import { type Transport, transportOf } from '../../src/wire/ws-internals.js';
import { writeFrame } from '../../src/wire/write-frame.js';
import { Random } from '../support/malformed.js';
import { SEED } from '../support/seed.js';
import { tlsClient, tlsServer } from '../support/tls.js';

const FRAMES = 200;
const LONGEST_TEXT = 70_000;
/** Within the sizes that use memory again. */
const LONG = 'x'.repeat(5_000);

let server: Server;
let sockets: WebSocketServer;
const clients: WebSocket[] = [];

afterEach(async () => {
  jest.restoreAllMocks();
  for (const client of clients.splice(0)) client.terminate();
  sockets.close();
  await new Promise((resolve) => server.close(resolve));
});

async function listen(isSecure: boolean): Promise<void> {
  server = isSecure ? createTlsServer(tlsServer) : createServer();
  sockets = new WebSocketServer({ server });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
}

/** Both ends of a new connection, and the texts that the client has received. */
async function connect(
  isSecure: boolean,
): Promise<{ socket: WebSocket; client: WebSocket; texts: string[] }> {
  const { port } = server.address() as AddressInfo;
  const connected = once(sockets, 'connection');
  const url = `${isSecure ? 'wss' : 'ws'}://127.0.0.1:${port}`;
  const client = new WebSocket(url, (isSecure ? tlsClient : {}) as ClientOptions);
  clients.push(client);
  const texts: string[] = [];
  client.on('message', (text: Buffer) => texts.push(text.toString()));
  await once(client, 'open');
  const [socket] = (await connected) as [WebSocket];
  return { socket, client, texts };
}

describe('the memory of frames', () => {
  it.each([
    ['TCP', false],
    ['TLS', true],
  ])(
    `is never used again while a stream refers to it, over %s, seed ${SEED}`,
    async (_, isSecure) => {
      const random = new Random(SEED);
      await listen(isSecure);
      const [slow, quick] = [await connect(isSecure), await connect(isSecure)];
      slow.client.pause();
      const sent: string[] = [];
      for (let frame = 0; frame < FRAMES; frame += 1) {
        const text = `${frame}:`.repeat(1 + random.below(LONGEST_TEXT / 5)).slice(0, LONGEST_TEXT);
        sent.push(text);
        for (const { socket } of [slow, quick]) writeFrame(socket, text);
        // Now the kernel takes the frames of both readers, and now it is full.
        if (random.below(4) === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      expect(slow.socket.bufferedAmount).toBeGreaterThan(0);
      slow.client.resume();
      for (const { texts } of [slow, quick]) {
        await eventually(() => expect(texts).toHaveLength(FRAMES));
        expect(texts.findIndex((text, index) => text !== sent[index])).toBe(-1);
      }
    },
  );

  it('is taken once for all frames of a size that the operating system takes at once', async () => {
    await listen(false);
    const { socket, texts } = await connect(false);
    const taken = jest.spyOn(Buffer, 'allocUnsafeSlow');
    for (let frame = 1; frame <= 20; frame += 1) {
      writeFrame(socket, LONG);
      await eventually(() => expect(texts).toHaveLength(frame));
    }
    expect(taken.mock.calls.length).toBeLessThanOrEqual(1);
  });

  it('is different for a frame that is made while another one is written', () => {
    sockets = new WebSocketServer({ noServer: true });
    server = createServer().listen(0);
    const first = memoryFor(5_000);
    const second = memoryFor(5_000);
    expect(second.buffer).not.toBe(first.buffer);
    giveBack(first);
    expect(memoryFor(8_192)).toBe(first);
    for (const length of [1_024, 1_025, 65_536, 65_546]) {
      const memory = memoryFor(length);
      expect(memory.length).toBeGreaterThanOrEqual(length);
      expect(memory.length).toBeLessThan(2 * length);
    }
  });

  it('is not used for a stream that may keep what it is given', async () => {
    await listen(false);
    const { socket, client } = await connect(false);
    const transport = transportOf(socket) as Transport & Socket;
    expect(mayReuse(transport, 5_000)).toBe(true);
    expect(mayReuse(transport, 80)).toBe(false);
    expect(mayReuse(transport, 1_000_000)).toBe(false);
    expect(mayReuse(new PassThrough(), 5_000)).toBe(false);
    const write = jest.spyOn(transport, 'write');
    expect(mayReuse(transport, 5_000)).toBe(false);
    write.mockRestore();
    const writeToHandle = jest.spyOn(transport, '_write');
    expect(mayReuse(transport, 5_000)).toBe(false);
    writeToHandle.mockRestore();
    client.pause();
    while (transport.writableLength === 0) writeFrame(socket, LONG);
    expect(mayReuse(transport, 5_000)).toBe(false);
  });
});
