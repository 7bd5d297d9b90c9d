import { mkdirSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from '@jest/globals';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import type { Browser } from 'playwright-core';

import { CleanupService } from '../../src/cleanup/cleanup.service.js';
import { FakeClock } from '../../src/testing/fake-clock.js';
import { startBrowser } from '../support/browser.js';
import { Crowd, crowdOf } from '../support/crowd.js';
import { LiveGateway } from '../support/live-gateway.js';
import { startApp, type TestApp } from '../support/test-app.js';

// `npm run pictures`: takes the screenshots of the README.
const folder = fileURLToPath(new URL('../../docs/images', import.meta.url));
const STEP_MS = 5_000;
const STEPS = 178;
const PICTURES: readonly Picture[] = [
  { name: 'light', colorScheme: 'light', width: 1280, height: 1160 },
  { name: 'dark', colorScheme: 'dark', width: 1280, height: 1160 },
  { name: 'narrow', colorScheme: 'light', width: 360, height: 860 },
];
const HURRY = { reducedMotion: 'reduce' } as const;

describe('pictures of the dashboard', () => {
  it('shows fifteen minutes of a busy process', async () => {
    mkdirSync(folder, { recursive: true });
    const clock = new FakeClock(Date.UTC(2026, 10, 24, 9, 12, 0));
    const running = await startApp({
      imports: [
        WebSocketIsolationDashboardModule.forRoot({
          allowAnonymous: true,
          canAct: () => true,
          keepHistory: true,
        }),
      ],
      providers: [LiveGateway],
      options: {
        clock,
        cleanup: { staleAfterMs: 240_000, idleTimeoutMs: 420_000 },
        heartbeat: { intervalMs: 64 * STEP_MS, timeoutMs: 600_000 },
      },
    });
    const crowd = new Crowd(running.url('/live'));
    const browser = await startBrowser();
    try {
      await live(running, crowd, clock);
      for (const picture of PICTURES) {
        expect(await draw(browser, running, picture)).toBeLessThanOrEqual(picture.width);
      }
    } finally {
      await browser.close();
      await crowd.close();
      await running.close();
    }
  }, 120_000);
});

// The fake clock stands still between two steps, so calls that wait for the server's time are not awaited.
async function live({ app }: TestApp, crowd: Crowd, clock: FakeClock): Promise<void> {
  const cleanup = app.get(CleanupService, { strict: false });
  await crowd.open(crowdOf(1_500));
  const newcomers = [...crowdOf(1_800)].slice(1_500);
  for (let step = 0; step < STEPS; step += 1) {
    if (step % 2 === 0 && newcomers.length > 0) void crowd.tryOnce(newcomers.shift()!);
    if (step % 5 === 0) crowd.clients[(step * 37) % crowd.clients.length]!.socket.close(1000);
    if (step % 9 === 3 || (step > 120 && step < 130)) void crowd.tryOnce('ada');
    if (step % 31 === 0) void crowd.tryOnce('');
    if (step === 120) {
      crowd.clients.slice(0, 6).forEach((each) => crowd.send(each, 'work', { label: 'assistant' }));
    }
    if (step % 45 === 20) crowd.send(crowd.clients[130]!, 'fail');
    if (step % 40 === 15) crowd.send(crowd.clients[160]!, 'nonsense');
    chat(crowd, step);
    await pause(25);
    await clock.advance(STEP_MS);
    if (step % 2 === 0) void cleanup.runEmergency();
    if (step % 12 === 0) void cleanup.runProactive();
  }
}

// A varying number of clients sends messages in each step. A fifth of the clients never sends.
function chat(crowd: Crowd, step: number): void {
  const wave = 1 + Math.sin(step / 14) + 0.5 * Math.sin(step / 5);
  const talking = Math.floor(90 * wave) + 60;
  for (let index = 0; index < talking; index += 1) {
    const place = (step * 131 + index * 7) % crowd.clients.length;
    const client = crowd.clients[place]!;
    if (place % 5 !== 4) crowd.send(client, 'say', { text: 'hello', threadId: client.threadId });
  }
}

interface Picture {
  readonly name: string;
  readonly colorScheme: 'light' | 'dark';
  readonly width: number;
  readonly height: number;
}

async function draw(
  browser: Browser,
  { port }: TestApp,
  { name, colorScheme, width, height }: Picture,
): Promise<number> {
  const page = await browser.newPage({ viewport: { width, height }, colorScheme, ...HURRY });
  await page.goto(`http://127.0.0.1:${port}/dashboard`);
  await page
    .getByRole('button', { name: /of ada$/ })
    .first()
    .click();
  await page.locator('#detail-facts dd').first().waitFor();
  // A second response, so that the charts have more than one sample.
  await page.waitForResponse(/state/);
  await page.evaluate('document.activeElement.blur(); scrollTo(0, 0)');
  // Hides the name of the machine that takes the picture.
  await page.evaluate('document.querySelector("#node-name").textContent = "web-1:4711"');
  await page.screenshot({ path: `${folder}/dashboard-${name}.png` });
  const shownWidth: number = await page.evaluate('document.documentElement.scrollWidth');
  await page.close();
  return shownWidth;
}
