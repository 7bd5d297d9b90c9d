import { connect, type Socket } from 'node:net';

import { Logger } from '@nestjs/common';
import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { OwnServer } from '../../src/upgrade/own-server.js';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { ServerProcess } from '../support/server-process.js';

const HALF_SENT = 5_000;

let server: ServerProcess | undefined;
const sockets: Socket[] = [];
afterEach(async () => {
  for (const socket of sockets.splice(0)) socket.destroy();
  await server?.kill();
  server = undefined;
});

function sendHalf(port: number): Promise<void> {
  const whole = upgradeRequest('/app?user=slow');
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      sockets.push(socket);
      socket.write(whole.slice(0, whole.length / 2), () => resolve());
    });
    socket.on('error', reject);
  });
}

describe(`${HALF_SENT} half-sent upgrade requests`, () => {
  it('do not keep a healthy client out', async () => {
    server = await ServerProcess.start({ handshake: { maxPending: 10 } });
    for (let start = 0; start < HALF_SENT; start += 250) {
      await Promise.all(Array.from({ length: 250 }, () => sendHalf(server!.port)));
    }
    const clients: TestClient[] = [];
    for (let user = 0; user < 20; user += 1) {
      const client = await TestClient.open(server.url(`healthy-${user}`));
      expect(await client.ask('echo', user)).toEqual({ event: 'echo', data: user });
      clients.push(client);
    }
    expect(await server.call('ledger')).toEqual({ created: 20, active: 20, disposed: 0 });
    for (const socket of sockets.splice(0)) socket.destroy();
    for (const client of clients) await client.close();
    await eventually(async () => expect(await server!.call('ledger')).toMatchObject({ active: 0 }));
  });
});

describe('a gateway’s own port', () => {
  it('has a header timeout of ten seconds, checked every two seconds', async () => {
    const address = { port: 0, host: undefined, backlog: undefined };
    const own = new OwnServer(address, new Logger());
    await own.listening;
    const { http } = own;
    expect(http.headersTimeout).toBe(10_000);
    http.headersTimeout = 100;
    const { port } = http.address() as { port: number };
    const raw = await RawSocket.open(port);
    raw.write('GET / HTTP/1.1\r\nHost: loc');
    await eventually(() => expect(raw.isClosed).toBe(true));
    expect(raw.status).toBe(408);
    await own.close();
  });
});
