import { afterEach, describe, expect, it } from '@jest/globals';
import { MessageBody, SubscribeMessage } from '@nestjs/websockets';
import { IsolatedGateway, MessageSignal } from 'nestjs-websocket-isolation';
import type { TestClient } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

let calls: unknown[] = [];

@IsolatedGateway({ path: '/runs' })
class RunsGateway {
  @SubscribeMessage('run')
  run(@MessageSignal() signal: AbortSignal): Promise<object> {
    return new Promise((resolve) => {
      signal.addEventListener('abort', () => resolve({ event: 'run', data: 'stopped' }));
    });
  }

  @SubscribeMessage('cancel')
  cancel(@MessageBody() data: unknown): object {
    calls.push(data);
    return { event: 'cancelled', data };
  }
}

let testApp: TestApp;
afterEach(() => testApp.close());

async function start(options: object = {}): Promise<TestClient> {
  calls = [];
  testApp = await startApp({ providers: [RunsGateway], logger: false, options });
  return testApp.connect('/runs?user=ada');
}

describe('a gateway that handles `cancel` itself', () => {
  it('gets those messages that name no message of the client that still runs', async () => {
    const client = await start();
    client.send('run', undefined, 1);
    client.send('cancel', { run: 7 });
    expect((await client.next('cancelled')).data).toEqual({ run: 7 });
    client.send('cancel', { run: 8 }, 2);
    expect(await client.next('cancelled')).toEqual({
      event: 'cancelled',
      data: { run: 8 },
      id: 2,
    });
    expect(calls).toEqual([{ run: 7 }, { run: 8 }]);
  });

  it('does not get those that name one: its signal is aborted', async () => {
    const client = await start();
    client.send('run', undefined, 1);
    client.send('cancel', undefined, 1);
    expect(await client.next('run')).toEqual({ event: 'run', data: 'stopped', id: 1 });
    expect(calls).toEqual([]);
  });

  it('sends one terminal frame where a cancelling message comes above the rate', async () => {
    const client = await start({ inbound: { rate: { messages: 1, perMs: 3_600_000 } } });
    client.send('run', undefined, 1);
    client.send('cancel', undefined, 1);
    await client.closed();
    expect(client.messages.filter(({ id, data }) => id === 1 || data?.id === 1)).toHaveLength(1);
    expect(calls).toEqual([]);
  });
});
