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

// Peers with a thread of their own: they answer pings while this one is busy.
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

/** Keeps the whole process from doing anything else, as a long computation or a frozen machine does. */
function block(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

it('does not take for dead who answered while the process was busy', async () => {
  testApp = await startApp({
    providers: [BusyGateway],
    options: {
      limits: { maxManagersPerUser: 2 },
      // Critical from 2 of 2 on: the emergency job would take whoever leaves a ping unanswered.
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
    // Everybody's next ping is under way when the process stops to listen.
    const managers = factory.managersOf('ada');
    for (const manager of managers) manager.ping();
    block(2_500);
    await eventually(() => expect(managers.map(({ pingedAt }) => pingedAt)).toEqual([0, 0]));
  }
  expect(closed).toEqual([]);
  expect(factory.managersOf('ada')).toHaveLength(2);
});
