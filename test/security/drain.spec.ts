import { afterEach, describe, expect, it } from '@jest/globals';

import { ServerProcess } from '../support/server-process.js';
import { TestClient } from '../support/test-client.js';

/** `DRAIN=10000` for more. */
const CONNECTIONS = Number(process.env['DRAIN'] ?? 2_000);
const AT_ONCE = 100;
const DEADLINE_MS = 10_000;

let server: ServerProcess;
afterEach(() => server.kill());

describe(`${CONNECTIONS} connections drained by SIGTERM`, () => {
  it('see 1001 and nothing else, and every disposer has what it needs', async () => {
    server = await ServerProcess.start({
      limits: { maxManagers: CONNECTIONS },
      shutdown: { deadlineMs: DEADLINE_MS },
    });
    const clients: TestClient[] = [];
    for (let start = 0; start < CONNECTIONS; start += AT_ONCE) {
      const users = Array.from({ length: AT_ONCE }, (_, index) => `user-${start + index}`);
      clients.push(...(await Promise.all(users.map((user) => TestClient.open(server.url(user))))));
    }

    const startedAt = performance.now();
    server.signal('SIGTERM');
    const { code, signal, stderr } = await server.ended();
    expect(performance.now() - startedAt).toBeLessThan(DEADLINE_MS);
    // Nest raises the signal again when its hooks are through.
    expect({ code, signal, stderr }).toEqual({ code: null, signal: 'SIGTERM', stderr: '' });
    expect(server.said).toEqual([
      {
        connected: CONNECTIONS,
        disconnected: CONNECTIONS,
        disposed: CONNECTIONS,
        tooLate: 0,
        codes: { 1001: CONNECTIONS },
      },
    ]);
    await Promise.all(clients.map((client) => client.closed()));
    const codes = new Set(clients.map(({ closeCode }) => closeCode));
    expect(codes).toEqual(new Set([1001]));
  }, 120_000);
});
