import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  IsolatedGateway,
  LeakDetector,
  UserExecutionContext,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { eventually, TestClient, UpgradeRefused } from 'nestjs-websocket-isolation/testing';

import { startApp, type TestApp } from '../support/test-app.js';

/** The number of rounds. `ROUNDS=1000` for a long run. */
const ROUNDS = Number(process.env['ROUNDS'] ?? 8);
const CONNECTIONS = 200;
const LIMIT = 20;

@IsolatedGateway({ path: '/rounds' })
class RoundsGateway {
  constructor(readonly context: UserExecutionContext) {}
}

let testApp: TestApp;
beforeAll(async () => {
  testApp = await startApp({ providers: [RoundsGateway] });
});
afterAll(() => testApp.close());

const live = (): number => testApp.app.get(WebSocketManagerFactory).managersOf('ada').length;

/** Resolves with a client, or with the status of the refusal. */
async function arrive(): Promise<TestClient | number> {
  try {
    return await TestClient.open(testApp.url('/rounds?user=ada'));
  } catch (error) {
    if (error instanceof UpgradeRefused) return error.status;
    throw error;
  }
}

describe(`${CONNECTIONS} simultaneous connections of one user, ${ROUNDS} times`, () => {
  it(`leave ${LIMIT} live ones each time, and ${LIMIT} again after one of them closes`, async () => {
    for (let round = 0; round < ROUNDS; round += 1) {
      const outcomes = await Promise.all(Array.from({ length: CONNECTIONS }, () => arrive()));
      const clients = outcomes.filter((outcome) => outcome instanceof TestClient);
      expect({
        accepted: clients.length,
        refused: outcomes.filter((outcome) => outcome === 429).length,
        live: live(),
      }).toEqual({ accepted: LIMIT, refused: CONNECTIONS - LIMIT, live: LIMIT });

      const [leaving] = clients.splice(round % LIMIT, 1);
      await leaving!.close();
      await eventually(() => expect(live()).toBe(LIMIT - 1));
      const next = await Promise.all([arrive(), arrive(), arrive()]);
      expect(next.filter((outcome) => outcome === 429).length).toBe(2);
      expect(live()).toBe(LIMIT);

      for (const client of [...clients, ...next]) {
        if (client instanceof TestClient) client.terminate();
      }
      await eventually(() => expect(live()).toBe(0));
    }
    const { ledger, suspects } = testApp.app.get(LeakDetector).getReport();
    expect(ledger).toMatchObject({ created: ROUNDS * (LIMIT + 1), disposed: ledger.created });
    expect(suspects).toEqual([]);
  });
});
