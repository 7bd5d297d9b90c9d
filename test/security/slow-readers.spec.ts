import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { ServerProcess } from '../support/server-process.js';
import { keepAsking } from '../support/keep-asking.js';

const READERS = 200;
const MIB = 1_048_576;

let server: ServerProcess;
const clients: TestClient[] = [];
afterEach(async () => {
  for (const client of clients.splice(0)) client.terminate();
  await server.kill();
});

async function open(user: string): Promise<TestClient> {
  const client = await TestClient.open(server.url(user));
  clients.push(client);
  return client;
}

describe(`${READERS} readers that stop reading`, () => {
  it.each([
    ['of 20 bytes', 20],
    ['of 1 KiB', 1_024],
  ])(
    'are closed at their bound, while others are served (messages %s)',
    async (_name, messageBytes) => {
      server = await ServerProcess.start({
        // A high limit, because the clean-up of a crowded user would remove readers that do not reply to pings.
        limits: { maxManagersPerUser: 2 * READERS },
        // Long timeouts, so that the readers are measured before they are cut, and a slow machine does not cut them.
        cleanup: { closeTimeoutMs: 600_000 },
        heartbeat: { timeoutMs: 600_000 },
      });
      const readers = await Promise.all(Array.from({ length: READERS }, () => open('reader')));
      for (const { socket } of readers) socket.pause();
      const stopAsking = keepAsking(await open('control'));
      const before = await server.call('memory');

      const mostBuffered = await server.call('flood', 'reader', messageBytes);
      const after = await server.call('memory');
      expect(mostBuffered).toBeLessThanOrEqual(MIB);
      for (const kind of ['rss', 'used'] as const) {
        const perReader = (after[kind] - before[kind]) / READERS;
        expect([kind, perReader < 1.5 * MIB, perReader]).toEqual([kind, true, perReader]);
      }

      for (const { socket } of readers) socket.resume();
      await Promise.all(readers.map((reader) => reader.closed()));
      expect(new Set(readers.map(({ closeCode }) => closeCode))).toEqual(new Set([4441]));
      expect(await stopAsking()).toBeGreaterThan(10);
      await eventually(async () => {
        expect(await server.call('ledger')).toEqual({
          created: READERS + 1,
          active: 1,
          disposed: READERS,
        });
      });
    },
  );
});

describe('a reader that stops reading', () => {
  it('is cut when it does not read the close frame either', async () => {
    server = await ServerProcess.start({ cleanup: { closeTimeoutMs: 200 } });
    const reader = await open('reader');
    reader.socket.pause();
    await server.call('flood', 'reader', 1_024);
    await eventually(async () => expect(await server.call('ledger')).toMatchObject({ active: 0 }));
    expect(await server.call('story')).toMatchObject({ codes: { 4441: 1 }, disposed: 1 });
  });

  it('is closed at its bound even if the sender does not wait for its sends', async () => {
    server = await ServerProcess.start({ cleanup: { closeTimeoutMs: 200 } });
    const reader = await open('reader');
    reader.socket.pause();
    const before = await server.call('memory');
    // 64 MiB, of which the operating system buffers a few.
    expect(await server.call('floodAsync', 'reader', 4_096)).toBeGreaterThan(3_000);
    const { used } = await server.call('memory');
    expect(used - before.used).toBeLessThan(4 * MIB);
    expect(await server.call('story')).toMatchObject({ codes: { 4441: 1 }, disposed: 1 });
  });
});
