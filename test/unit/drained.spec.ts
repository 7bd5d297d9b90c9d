import { once } from 'node:events';
import type { AddressInfo } from 'node:net';

import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { WebSocket, WebSocketServer } from 'ws';

import { systemClock } from '../../src/time/clock.js';
import { drained } from '../../src/wire/drained.js';
import { transportOf } from '../../src/wire/ws-internals.js';

const MIB = 1_024 * 1_024;

describe('the wait for a socket to drain', () => {
  let server: WebSocketServer;
  let client: WebSocket;
  let socket: WebSocket;
  beforeEach(async () => {
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
    await once(server, 'listening');
    const connected = once(server, 'connection');
    client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`);
    client.on('error', () => undefined);
    await once(client, 'open');
    [socket] = (await connected) as [WebSocket];
  });
  afterEach(async () => {
    client.terminate();
    await new Promise((resolve) => server.close(resolve));
  });

  it('ends when the client has read what the socket owes', async () => {
    client.pause();
    for (let sent = 0; sent < 64; sent += 1) socket.send(Buffer.alloc(MIB));
    expect(socket.bufferedAmount).toBeGreaterThan(0);
    let isDrained = false;
    const waiting = drained(socket, systemClock).then(() => (isDrained = true));
    await new Promise((resolve) => setImmediate(resolve));
    expect(isDrained).toBe(false);
    client.resume();
    await waiting;
    expect(socket.bufferedAmount).toBe(0);
  });

  it('lets the event loop go on between the end of the transport and the close event', async () => {
    client.pause();
    for (let sent = 0; sent < 64; sent += 1) socket.send(Buffer.alloc(MIB));
    transportOf(socket)!.destroy();
    expect(socket.bufferedAmount).toBeGreaterThan(0);
    let isDrained = false;
    const waiting = drained(socket, systemClock).then(() => (isDrained = true));
    for (let microtasks = 0; microtasks < 100; microtasks += 1) await Promise.resolve();
    expect(isDrained).toBe(false);
    await waiting;
  });
});
