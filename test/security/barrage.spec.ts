import { once } from 'node:events';

import { afterEach, describe, expect, it } from '@jest/globals';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';

import { keepAsking } from '../support/keep-asking.js';
import {
  malformedFrames,
  malformedMessage,
  malformedUpgrade,
  Random,
} from '../support/malformed.js';
import { RawSocket, upgradeRequest } from '../support/raw-socket.js';
import { ServerProcess } from '../support/server-process.js';

/** The number of attacks. `BARRAGE=100000` for a long run; `SEED=…` repeats a run. */
const ATTACKS = Number(process.env['BARRAGE'] ?? 3_000);
const SEED = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31));
const AT_ONCE = 50;
const MIB = 1_048_576;

let server: ServerProcess;
afterEach(() => server.kill());

/** Sends the bytes, waits for a reaction, at most 20 ms, and cuts the connection. */
async function hit(bytes: Buffer, isUpgraded: boolean): Promise<void> {
  const raw = await RawSocket.open(server.port);
  if (isUpgraded) {
    raw.write(upgradeRequest('/app?user=barrage'));
    await eventually(() => expect(raw.status).toBe(101));
  }
  raw.write(bytes);
  const settled = isUpgraded ? once(raw.socket, 'close') : once(raw.socket, 'data');
  await Promise.race([settled, new Promise((resolve) => setTimeout(resolve, 20))]).catch(
    () => undefined,
  );
  raw.destroy();
}

/** Sends malformed messages over a connection that must stay open. */
async function harass(client: TestClient, random: Random, messages: number): Promise<void> {
  for (let index = 0; index < messages; index += 1) {
    const message = malformedMessage(random);
    client.socket.send(random.chance(0.2) ? Buffer.from(message) : message);
  }
  client.messages.length = 0;
  client.send('echo', 'still here');
  // Without `expect`, which would print earlier messages that may be thousands of levels deep.
  await eventually(() => {
    const { data } = client.messages.at(-1) ?? {};
    if (data !== 'still here') throw new Error(`no answer, closed with ${client.closeCode}`);
  });
}

async function attack(random: Random, count: number): Promise<void> {
  const third = Math.ceil(count / 3);
  const each = Math.ceil(third / AT_ONCE);
  const workers = Array.from({ length: AT_ONCE }, async () => {
    const client = await TestClient.open(server.url('barrage'));
    for (let round = 0; round < each; round += 1) {
      await hit(malformedUpgrade(random), false);
      await hit(malformedFrames(random), true);
      await harass(client, random, 1);
    }
    await harass(client, random, 50);
    client.socket.close(1000);
    // With 50 clients of a busy process, the last close takes more than five seconds on Node.js 22.
    await client.closed();
  });
  await Promise.all(workers);
}

describe(`${ATTACKS} malformed upgrades, frames and messages (SEED=${SEED})`, () => {
  it('end only their own connections, and leave nothing behind', async () => {
    process.stdout.write(`barrage: SEED=${SEED}\n`);
    const random = new Random(SEED);
    server = await ServerProcess.start({
      limits: { maxManagersPerUser: 1_000 },
      cleanup: { closeTimeoutMs: 500 },
    });
    const control = await TestClient.open(server.url('control'));
    const stopAsking = keepAsking(control);
    // The first attacks fill caches and buffers and compile code, before memory is measured.
    await attack(random, Math.min(2_000, ATTACKS / 5));
    const settled = async (): Promise<void> =>
      eventually(async () => expect(await server.call('ledger')).toMatchObject({ active: 1 }));
    await settled();
    const before = await server.call('memory');

    await attack(random, ATTACKS);
    await settled();
    expect(await stopAsking()).toBeGreaterThan(10);
    expect(control.closeCode).toBeUndefined();
    const { created, active, disposed } = await server.call('ledger');
    expect(created).toBe(active + disposed);
    expect(created).toBeGreaterThan(ATTACKS / 3);
    const story = await server.call('story');
    // `ws` refuses an upgrade with a bad key after its scope was created, so it never connects.
    expect(story.connected).toBeLessThanOrEqual(created);
    expect(story).toMatchObject({ disconnected: story.connected - 1, disposed, tooLate: 0 });
    expect(await server.call('polluted')).toBe(false);
    await eventually(async () => {
      const { used } = await server.call('memory');
      expect(used - before.used).toBeLessThan(2 * MIB);
    });
    const { used, rss } = await server.call('memory');
    process.stdout.write(
      `barrage: ${created} connections, ${JSON.stringify(story.codes)}, memory in use ` +
        `${((used - before.used) / MIB).toFixed(2)} MiB more, rss ${((rss - before.rss) / MIB).toFixed(1)} MiB more\n`,
    );

    server.signal('SIGTERM');
    expect(await server.ended()).toMatchObject({ signal: 'SIGTERM', stderr: '' });
    expect(await control.closed()).toBe(1001);
  }, 1_800_000);
});
