import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { WebSocketManagerFactory } from 'nestjs-websocket-isolation';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import type { Browser, Locator, Page } from 'playwright-core';

import { PAGE_PATIENCE_MS, startBrowser } from '../support/browser.js';
import { Crowd, crowdOf } from '../support/crowd.js';
import { LiveGateway } from '../support/live-gateway.js';
import { startApp, type TestApp } from '../support/test-app.js';

const CONNECTIONS = Number(process.env['DASHBOARD_CONNECTIONS'] ?? 2_000);
/** The state of a page whose numbers are current; on a busy machine, the event loop is an incident. */
const CURRENT = /^\s*(Live|1 incident)\s*$/;
const HOSTILE = '<img src=x onerror=alert(1)>';

let browser: Browser;
let running: TestApp;
let crowd: Crowd;
let page: Page;
let mayAct = true;
let mayLook = true;
const problems: string[] = [];

beforeAll(async () => {
  browser = await startBrowser();
  running = await startApp({
    imports: [
      WebSocketIsolationDashboardModule.forRoot({
        guard: () => mayLook,
        canAct: () => mayAct,
        canSeeIds: () => true,
        whoIs: () => 'tester',
      }),
    ],
    providers: [LiveGateway],
  });
  crowd = new Crowd(running.url('/live'));
  await crowd.open([...crowdOf(CONNECTIONS - 1), HOSTILE]);
});
afterAll(async () => {
  await browser.close();
  await crowd.close();
  await running.close();
});

// All tests share a page, as a person would use it.
beforeAll(async () => {
  const viewport = { width: 1280, height: 900 };
  page = await browser.newPage({ viewport, reducedMotion: 'reduce' });
  page.setDefaultTimeout(PAGE_PATIENCE_MS);
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  page.on('dialog', (dialog) => problems.push(`a dialog: ${dialog.message()}`));
  await page.goto(`http://127.0.0.1:${running.port}/dashboard`);
  await rows().first().waitFor();
});
afterEach(() => expect(problems.splice(0)).toEqual([]));

const factory = (): WebSocketManagerFactory => running.app.get(WebSocketManagerFactory);
const rows = (): Locator => page.locator('#connections tr');
const text = async (selector: string): Promise<string> =>
  (await page.locator(selector).first().textContent()) ?? '';
const search = async (words: string): Promise<void> => {
  await page.getByRole('searchbox', { name: 'Search by user, thread or connection' }).fill(words);
};
const widthOfPage = (): Promise<number> => page.evaluate('document.documentElement.scrollWidth');
const background = (): Promise<string> =>
  page.evaluate('getComputedStyle(document.body).backgroundColor');

async function come(userId: string): Promise<void> {
  const client = await TestClient.open(running.url(`/live?user=${userId}`));
  await client.close();
}

describe(`the dashboard over ${CONNECTIONS} live connections, in a browser`, () => {
  it('counts them, and proves that none is missing', async () => {
    const shown = CONNECTIONS.toLocaleString('en');
    await eventually(async () => expect(await text('.vital .number')).toBe(shown));
    expect(await text('#found')).toBe(`${shown} connections`);
    expect(await text('[data-verdict=ledger]')).toContain('✓');
    expect(await text('#top-users li')).toContain('20 of 20');
    const marks = page.locator('#top-users .mark');
    expect(await marks.count()).toBeGreaterThan(2);
    expect(await page.locator('#distribution').getAttribute('aria-label')).toMatch(
      /^Connections per user: /,
    );
    expect(await text('#status')).toMatch(CURRENT);
  });

  it('finds some of them, page by page', async () => {
    await search('GRACE');
    const graces = [...crowdOf(CONNECTIONS - 1)].filter((userId) => userId.startsWith('grace'));
    await eventually(async () =>
      expect(await text('#found')).toBe(`${graces.length} connections found`),
    );
    const users = await page.locator('#connections th').allTextContents();
    expect(users).toHaveLength(Math.min(25, graces.length));
    expect(users.every((userId) => userId.startsWith('grace'))).toBe(true);
    const [first] = users;
    await page.getByRole('button', { name: 'Next' }).click();
    await eventually(async () => expect(await text('#page-number')).toContain('Page 2'));
    await eventually(async () => expect(await text('#connections th')).not.toBe(first));
    await search('nobody of that name');
    await eventually(async () => expect(await text('#no-connections')).toBe('Nothing matches.'));
  });

  it('shows a hostile name as plain text', async () => {
    await search('onerror');
    await eventually(async () => expect(await text('#connections th')).toBe(HOSTILE));
    await rows().first().getByRole('button').click();
    await eventually(async () => expect(await text('#detail-title')).toBe(HOSTILE));
    expect(await page.locator('img').count()).toBe(0);
  });

  it('shows one of them, and disconnects it after asking', async () => {
    const victim = await TestClient.open(running.url('/live?user=victim&thread=tea'));
    victim.send('work', { label: 'assistant' });
    await search('victim');
    await eventually(async () => expect(await text('#connections th')).toBe('victim'));
    await rows().first().getByRole('button').click();
    const detail = page.getByRole('complementary');
    await eventually(async () => {
      const facts = (await detail.textContent()) ?? '';
      for (const fact of ['victim:tea', 'Busy withassistant', 'Disposers1', '1 of 20', 'ready']) {
        expect(facts).toContain(fact);
      }
    });
    await detail.getByRole('button', { name: 'Disconnect', exact: true }).click();
    const dialog = page.getByRole('dialog');
    expect(await dialog.textContent()).toContain('Disconnect this connection of victim?');
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    expect(victim.closeCode).toBeUndefined();
    await detail.getByRole('button', { name: 'Disconnect', exact: true }).click();
    await dialog.getByLabel('The client may reconnect at once').check();
    await dialog.getByRole('button', { name: 'Disconnect' }).click();
    expect(await victim.closed()).toBe(1001);
    await eventually(async () => expect(await text('#announcement')).toBe('Disconnected.'));
    await eventually(async () => expect(await text('#detail-gone')).toContain('has ended'));
    await eventually(async () => {
      expect(await text('#feed')).toContain('tester disconnected conn_');
    });
  });

  it('shows no action buttons to users without the right to act', async () => {
    mayAct = false;
    try {
      await page.reload();
      await rows().first().waitFor();
      await rows().first().getByRole('button').click();
      await page.locator('#detail-facts dd').first().waitFor();
      expect(await page.getByRole('button', { name: /Disconnect|Drain|Clean up/ }).count()).toBe(0);
    } finally {
      mayAct = true;
    }
  });

  it('pauses the events, and filters them', async () => {
    await come('early');
    await eventually(async () => expect(await text('#feed')).toContain('early connected'));
    await page.getByRole('button', { name: 'Pause' }).click();
    await come('late');
    await eventually(async () => expect(await text('#waiting')).toMatch(/paused · \d+ new/));
    expect(await text('#feed')).not.toContain('late connected');
    await page.getByRole('button', { name: 'Pause' }).click();
    expect(await text('#feed')).toContain('late connected');
    await page.getByRole('searchbox', { name: 'Filter the events' }).fill('late left');
    expect(await page.locator('#feed li').allTextContents()).toEqual([
      expect.stringContaining('late left with 1000 normal, by client'),
    ]);
    await page.getByLabel('Kind of events').selectOption('refusals');
    expect(await page.locator('#feed li').count()).toBe(0);
    await page.getByLabel('Kind of events').selectOption('all');
    await page.getByRole('searchbox', { name: 'Filter the events' }).fill('');
  });

  it('is dark if the system is, or if the user selects the dark theme', async () => {
    const light = await background();
    await page.getByLabel('Theme').selectOption('dark');
    const dark = await background();
    expect(dark).not.toBe(light);
    await page.reload();
    expect(await background()).toBe(dark);
    await page.getByLabel('Theme').selectOption('system');
    expect(await background()).toBe(light);
    await page.emulateMedia({ colorScheme: 'dark' });
    expect(await background()).toBe(dark);
    await page.emulateMedia({ colorScheme: 'light' });
  });

  it('fits a screen of 360 pixels, with the details open', async () => {
    await page.setViewportSize({ width: 360, height: 740 });
    expect(await widthOfPage()).toBeLessThanOrEqual(360);
    await rows().first().getByRole('button').click();
    await page.locator('#detail-facts dd').first().waitFor();
    expect(await widthOfPage()).toBeLessThanOrEqual(360);
    await page.getByRole('button', { name: /^Disconnect all/ }).click();
    expect(await widthOfPage()).toBeLessThanOrEqual(360);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Close the details' }).click();
    await page.setViewportSize({ width: 1280, height: 900 });
  });

  it('shows when the server does not answer, and when access is refused', async () => {
    await page.route('**/state?*', (route) => route.abort());
    const status = page.locator('#status');
    await eventually(async () =>
      expect(await status.textContent()).toContain('The server does not answer.'),
    );
    await page.unroute('**/state?*');
    await eventually(async () => expect(await status.textContent()).toMatch(CURRENT));
    mayLook = false;
    await eventually(async () =>
      expect(await status.textContent()).toContain('You may not see this any more.'),
    );
    mayLook = true;
    // The page stops polling: the dashboard blocks a caller for a minute after five refusals.
    expect(await status.getAttribute('data-kind')).toBe('ended');
    // The browser logs each failed request as an error. These errors are expected.
    problems.splice(0);
    await page.reload();
    await rows().first().waitFor();
  });

  it('works from the keyboard, and labels every control', async () => {
    await page.keyboard.press('/');
    expect(await page.evaluate('document.activeElement.id')).toBe('search');
    await page.keyboard.type('linus');
    await eventually(async () => expect(await text('#connections th')).toContain('linus'));
    const open = rows().first().getByRole('button');
    await open.focus();
    await page.keyboard.press('Enter');
    await eventually(async () =>
      expect(await page.evaluate('document.activeElement.id')).toBe('detail-title'),
    );
    await page.keyboard.press('Escape');
    expect(await page.locator('#detail').isVisible()).toBe(false);
    expect(await open.evaluate((button) => button === button.ownerDocument.activeElement)).toBe(
      true,
    );
    for (const landmark of ['banner', 'main', 'search', 'navigation'] as const) {
      expect(await page.getByRole(landmark).count()).toBe(1);
    }
    const nameless = await page
      .locator('button:visible, input:visible, select:visible, [role=img]:visible')
      .evaluateAll((elements) =>
        elements.filter((element) => {
          const { labels } = element as { labels?: { length: number } };
          const label = element.getAttribute('aria-label') ?? element.textContent ?? '';
          return label.trim() === '' && !labels?.length;
        }),
      );
    expect(nameless).toEqual([]);
    expect(factory().getStats().currentState.activeManagers).toBe(CONNECTIONS);
  });
});
