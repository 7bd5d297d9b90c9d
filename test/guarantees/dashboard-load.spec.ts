import { monitorEventLoopDelay } from 'node:perf_hooks';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { UserExecutionContext, WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';

import { crowdOf } from '../support/crowd.js';
import { FakeSocket } from '../support/fleet.js';
import { startApp, type TestApp } from '../support/test-app.js';

// The cost of the dashboard in a process with many connections. The figures of docs/dashboard.md come from
// `DASHBOARD_MANAGERS=50000 npm test -- dashboard-load`, which prints them.
const MANAGERS = Number(process.env['DASHBOARD_MANAGERS'] ?? 2_000);
const isMeasuring = process.env['DASHBOARD_MANAGERS'] !== undefined;
const ROUNDS = isMeasuring ? 200 : 10;

let running: TestApp;
const figures: string[] = [];

beforeAll(async () => {
  running = await startApp({
    imports: [WebSocketIsolationDashboardModule.forRoot({ guard: () => true })],
    options: { limits: { maxManagers: MANAGERS + 1 } },
  });
  const factory = running.app.get(WebSocketManagerFactory);
  let count = 0;
  for (const userId of crowdOf(MANAGERS)) {
    const context = UserExecutionContext.fromWebSocketRequest({ userId, threadId: 'tea' });
    const manager = await factory.createManager(context, { socket: new FakeSocket() });
    count += 1;
    // One topic for all, some with nearly as many members as are counted at each look, and one for each connection.
    for (const topic of ['lobby', `hall-${Math.floor(count / 900)}`, `room-${count}`]) {
      await manager.join(topic);
    }
  }
});
afterAll(async () => {
  await running.close();
  if (isMeasuring) process.stdout.write(`${figures.join('\n')}\n`);
});

interface Measured {
  readonly bytes: number;
  readonly longestBlockMs: number;
}

async function measure(name: string, path: string): Promise<Measured> {
  const url = `http://127.0.0.1:${running.port}/dashboard/${path}`;
  await (await fetch(url)).text();
  const delay = monitorEventLoopDelay({ resolution: 1 });
  const times: number[] = [];
  let bytes = 0;
  delay.enable();
  const heapBefore = heap();
  for (let round = 0; round < ROUNDS; round += 1) {
    const startedAt = performance.now();
    bytes = (await (await fetch(url)).text()).length;
    times.push(performance.now() - startedAt);
  }
  delay.disable();
  times.sort((a, b) => a - b);
  const longestBlockMs = delay.max / 1e6;
  const at = (share: number): string => times[Math.floor(times.length * share)]!.toFixed(1);
  const grown = ((heap() - heapBefore) / 1024 / 1024).toFixed(1);
  figures.push(
    `${name}: median ${at(0.5)} ms, 95 % ${at(0.95)} ms, ${bytes} bytes, longest turn ${longestBlockMs.toFixed(1)} ms, heap ${grown} MB`,
  );
  return { bytes, longestBlockMs };
}

function heap(): number {
  globalThis.gc!();
  return process.memoryUsage().heapUsed;
}

const VIEWER = 'viewer=one-of-them';

function askFor(search: string): Promise<Response> {
  const base = `http://127.0.0.1:${running.port}/dashboard/connections`;
  return fetch(`${base}?${VIEWER}&search=${search}`);
}

describe(`the dashboard over ${MANAGERS} managers`, () => {
  it.each([
    ['overview', `state?${VIEWER}&since=1e15&after=1e9`],
    ['first page', `connections?${VIEWER}`],
    ['last page', `connections?${VIEWER}&page=200`],
    ['latest traffic', `connections?${VIEWER}&view=recent&page=200`],
    ['search, nothing found', `connections?${VIEWER}&search=nobody-of-that-name`],
    ['search, many found', `connections?${VIEWER}&search=a`],
    ['topics', `topics?${VIEWER}`],
    ['topics, search', `topics?${VIEWER}&search=OOM`],
    ['topics, nothing found', `topics?${VIEWER}&search=nothing-of-that-name`],
    ['the largest topic', `topic?${VIEWER}&name=lobby`],
  ])('replies with a bounded page: %s', async (name, path) => {
    const { bytes } = await measure(name, path);
    expect(bytes).toBeLessThan(16_384);
  });

  it('lists all connections over its pages, each once', async () => {
    const seen = new Set<string>();
    let pages = 1;
    for (let page = 1; page <= pages; page += 1) {
      const answer = await fetch(
        `http://127.0.0.1:${running.port}/dashboard/connections?${VIEWER}&page=${page}`,
      );
      const body = (await answer.json()) as { rows: { connectionId: string }[]; pages: number };
      pages = body.pages;
      for (const { connectionId } of body.rows) seen.add(connectionId);
    }
    // The list ends at page 200. Later connections are found only by searching.
    expect(seen.size).toBe(Math.min(MANAGERS, 200 * 25));
  });

  it('runs one search at a time, and refuses with 503 when too many wait', async () => {
    const answers = await Promise.all(
      Array.from({ length: 120 }, (_, index) => askFor(`nobody-${index}`)),
    );
    const statuses = new Set(answers.map(({ status }) => status));
    expect([...statuses].every((status) => status === 200 || status === 503)).toBe(true);
    expect(statuses.has(200)).toBe(true);
  });
});
