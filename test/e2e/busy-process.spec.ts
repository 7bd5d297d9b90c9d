import { Worker } from 'node:worker_threads';

import { afterEach, expect, it } from '@jest/globals';
import {
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

@IsolatedGateway({ path: '/busy' })
class BusyGateway {
  constructor(readonly context: UserExecutionContext) {}
}

// Peers in a separate thread. They reply to pings while the main thread is busy.
const PEERS = `
  const { parentPort, workerData } = require('node:worker_threads');
  const { WebSocket } = require('ws');
  for (const url of workerData) {
    new WebSocket(url).on('error', () => {}).on('close', (code) => parentPort.postMessage(code));
  }
`;

let testApp: TestApp;
let peers: Worker | undefined;
afterEach(async () => {
  await testApp.close();
  await peers?.terminate();
});

/** Blocks the event loop, like a long computation or a frozen machine. */
function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

it('does not treat a peer as dead that replied while the process was busy', async () => {
  testApp = await startApp({
    providers: [BusyGateway],
    options: {
      limits: { maxManagersPerUser: 2 },
      // Two connections are the limit, so the emergency job would remove a connection with an unanswered ping.
      cleanup: { probeTimeoutMs: 1_000, emergencyIntervalMs: 500 },
      heartbeat: { intervalMs: 640, timeoutMs: 1_500 },
    },
  });
  const factory = testApp.app.get(WebSocketManagerFactory);
  const closed: number[] = [];
  const url = testApp.url('/busy?user=ada');
  peers = new Worker(PEERS, { eval: true, workerData: [url, url] });
  peers.on('message', (code: number) => closed.push(code));
  await eventually(() => expect(factory.managersOf('ada')).toHaveLength(2));
  for (let round = 0; round < 3; round += 1) {
    // A ping of each connection is in flight when the process stops reading.
    const managers = factory.managersOf('ada');
    for (const manager of managers) manager.ping();
    block(2_500);
    await eventually(() => expect(managers.map(({ pingedAt }) => pingedAt)).toEqual([0, 0]));
  }
  expect(closed).toEqual([]);
  expect(factory.managersOf('ada')).toHaveLength(2);
});
