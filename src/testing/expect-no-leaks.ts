import { setImmediate as nextTurn } from 'node:timers/promises';

import type { INestApplicationContext } from '@nestjs/common';

import { TrafficCounters } from '../connection/traffic-counters.js';
import { HandshakeService } from '../handshake/handshake.service.js';
import { WebSocketManagerFactory } from '../manager/web-socket-manager.factory.js';
import { ManagerRegistry } from '../manager/manager-registry.js';
import { LeakDetector } from '../monitoring/leak.detector.js';
import { eventually } from './eventually.js';

/**
 * Fails if any part of a connection is left after all connections have ended: managers, users, handlers, handshakes,
 * hooks and disposers that were abandoned, and with `node --expose-gc` managers that are still in memory. Close your
 * clients first; the function waits until the server has noticed.
 *
 * @throws {Error} that lists the parts that are left
 */
export async function expectNoLeaks(
  app: INestApplicationContext,
  timeoutMs = 5_000,
): Promise<void> {
  await eventually(() => assertNothing(countsOf(app)), timeoutMs);
  // Collected again before each look: code that ends a connection may still have been running during the first one, and
  // a manager that no code refers to any more is a suspect until the next collection.
  await eventually(async () => {
    await collectGarbage();
    assertNothing(suspectsOf(app));
  }, timeoutMs);
}

function countsOf(app: INestApplicationContext): Record<string, number> {
  const registry = app.get(ManagerRegistry, { strict: false });
  const { created, active, disposed } = registry.ledger;
  const { asks, latest } = app.get(WebSocketManagerFactory, { strict: false }).bookkeeping;
  return {
    'active connections': active,
    'users with connections': registry.userCount,
    'managers made and neither active nor disposed': created - active - disposed,
    'running handlers': app.get(TrafficCounters, { strict: false }).inFlight,
    'questions to clients': asks.asked,
    'messages kept for slow readers': latest.size,
    'pending handshakes': app.get(HandshakeService, { strict: false }).pending,
  };
}

function suspectsOf(app: INestApplicationContext): Record<string, number> {
  const { suspects } = app.get(LeakDetector, { strict: false }).getReport();
  return Object.fromEntries(
    suspects.map(({ cause, label, isolationKey, connectionId, creationSite }) => {
      const site = creationSite === undefined ? '' : `, made at ${creationSite}`;
      const what = label === undefined ? cause : `${cause} (${label})`;
      return [`${what} ${connectionId} of ${isolationKey}${site}`, 1];
    }),
  );
}

function assertNothing(counts: Readonly<Record<string, number>>): void {
  const left = Object.entries(counts).filter(([, count]) => count !== 0);
  if (left.length === 0) return;
  const list = left.map(([what, count]) => `${count} × ${what}`).join('; ');
  throw new Error(`Something is left of connections that should be gone: ${list}.`);
}

// A manager that survives two full collections is still referenced. The detector is notified one turn after each.
async function collectGarbage(): Promise<void> {
  const { gc } = globalThis as { gc?: () => void };
  if (!gc) return;
  for (let round = 0; round < 3; round += 1) {
    gc();
    await nextTurn();
    await nextTurn();
  }
}
