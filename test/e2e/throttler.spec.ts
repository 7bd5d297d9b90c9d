import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { TestClient } from 'nestjs-websocket-isolation/testing';

import type { ThrottledServerMethods } from '../processes/throttled-server.process.js';
import { NodeProcess } from '../support/node-process.js';

let server: NodeProcess<ThrottledServerMethods>;
beforeAll(() => {
  server = new NodeProcess(
    new URL('../processes/throttled-server.process.ts', import.meta.url),
    {},
  );
});
afterAll(async () => {
  await server.call('close');
  await server.kill();
});

const TOO_MANY = {
  event: 'exception',
  data: {
    status: 'error',
    code: 'TOO_MANY_REQUESTS',
    message: 'ThrottlerException: Too Many Requests',
  },
};

describe('the ThrottlerGuard of Nest', () => {
  it('counts by address, as with HTTP', async () => {
    const port = await server.call('startByAddress');
    for (const localAddress of ['127.0.0.1', '127.0.0.2']) {
      const client = await TestClient.open(`ws://127.0.0.1:${port}/message?user=ada`, {
        localAddress,
      });
      // The guard must not mistake the message's data (none, or an object) for an HTTP response.
      expect(await client.ask('say')).toEqual({ event: 'said' });
      expect(await client.ask('say', { header: 1 })).toEqual({ event: 'said' });
      expect(await client.ask('say')).toEqual(TOO_MANY);
      client.terminate();
    }
    expect(await server.call('errors')).toEqual([]);
  });

  it('counts by user, as the guide shows', async () => {
    const port = await server.call('startByUser');
    const [ada, tab, bob] = await Promise.all(
      ['ada', 'ada', 'bob'].map((user) =>
        TestClient.open(`ws://127.0.0.1:${port}/message?user=${user}`),
      ),
    );
    expect(await ada!.ask('say')).toEqual({ event: 'said' });
    expect(await tab!.ask('say')).toEqual({ event: 'said' });
    expect(await tab!.ask('say')).toEqual(TOO_MANY);
    expect(await bob!.ask('say')).toEqual({ event: 'said' });
    for (const client of [ada, tab, bob]) client!.terminate();
  });

  it('on the class counts connections too, and closes excess ones with 4430', async () => {
    const port = await server.call('startByAddress');
    const url = `ws://127.0.0.1:${port}/class?user=ada`;
    // Connections and messages both count.
    const first = await TestClient.open(url);
    expect(await first.ask('say')).toEqual({ event: 'said' });
    await (await TestClient.open(url)).close();
    const third = await TestClient.open(url);
    expect(await third.closed()).toBe(4430);
    first.terminate();
    expect(await server.call('errors')).toEqual([]);
  });
});
