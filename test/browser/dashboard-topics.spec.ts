import { mkdirSync } from 'node:fs';

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  WebSocketEmitter,
  type WebSocketManager,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import { eventually, TestClient } from 'nestjs-websocket-isolation/testing';
import type { Browser, Locator, Page } from 'playwright-core';

import { PAGE_PATIENCE_MS, startBrowser } from '../support/browser.js';
import { Crowd, crowdOf } from '../support/crowd.js';
import { LiveGateway } from '../support/live-gateway.js';
import { startApp, type TestApp } from '../support/test-app.js';

const HOSTILE = '<img src=x onerror=alert(1)>';
const ROOMS = 40;
/** Set to a folder to look at the page: `PICTURES=/tmp/pictures`. */
const PICTURES = process.env['PICTURES'];

let browser: Browser;
let running: TestApp;
let crowd: Crowd;
let page: Page;
const problems: string[] = [];

beforeAll(async () => {
  browser = await startBrowser();
  running = await startApp({
    imports: [
      WebSocketIsolationDashboardModule.forRoot({
        guard: () => true,
        canAct: () => true,
        whoIs: () => 'tester',
      }),
    ],
    providers: [LiveGateway],
    options: {
      topics: { history: {}, authorizer: (_context, topic) => !topic.startsWith('vip') },
    },
  });
  crowd = new Crowd(running.url('/live'));
  await crowd.open(crowdOf(150));
  const viewport = { width: 1280, height: 900 };
  page = await browser.newPage({ viewport, reducedMotion: 'reduce' });
  page.setDefaultTimeout(PAGE_PATIENCE_MS);
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  page.on('dialog', (dialog) => problems.push(`a dialog: ${dialog.message()}`));
  await page.goto(`http://127.0.0.1:${running.port}/dashboard`);
  await page.locator('#connections tr').first().waitFor();
});
afterAll(async () => {
  await browser.close();
  await crowd.close();
  await running.close();
});
afterEach(() => expect(problems.splice(0)).toEqual([]));

const section = (): Locator => page.getByRole('region', { name: 'Topics' });
const opened = (): Locator => page.locator('#topic-detail');
const rows = (): Locator => page.locator('#topics tr');
const text = async (selector: string): Promise<string> =>
  (await page.locator(selector).first().textContent()) ?? '';
const search = (words: string): Promise<void> =>
  page.getByRole('searchbox', { name: 'Search topics by name' }).fill(words);
const widthOfPage = (): Promise<number> => page.evaluate('document.documentElement.scrollWidth');
const managersOf = (user: string): WebSocketManager[] =>
  running.app.get(WebSocketManagerFactory).managersOf(user);

async function join(): Promise<void> {
  const factory = running.app.get(WebSocketManagerFactory);
  const managers = crowd.clients.flatMap(({ userId }) => factory.managersOf(userId));
  const all = [...new Set(managers)];
  for (const [index, manager] of all.entries()) {
    await manager.join('lobby');
    await manager.join(`room:${index % ROOMS}`);
    if (index < 3) await manager.join(HOSTILE);
  }
}

async function open(name: string): Promise<void> {
  await search(name);
  await eventually(async () => expect(await text('#topics th')).toBe(name));
  await rows().first().getByRole('button').click();
  await eventually(async () => expect(await text('#topic-title')).toBe(name));
  await page.locator('#topic-users li').first().waitFor();
}

describe('the topics of the dashboard, in a browser', () => {
  it('are not shown in an app without topics', async () => {
    expect(await text('#status')).toContain('Live');
    expect(await section().count()).toBe(0);
  });

  it('are listed, the largest first, page by page, with a search', async () => {
    await join();
    await eventually(async () => expect(await text('#topics th')).toBe('lobby'));
    expect(await text('#topics-found')).toBe(`${ROOMS + 2} topics`);
    expect(await text('#topics .members')).toBe('150');
    expect(await text('#topics-note')).toContain('303 memberships');
    await section().getByRole('button', { name: 'Next' }).click();
    await eventually(async () => expect(await text('#topic-pages span')).toBe('Page 2 of 2'));
    expect(await rows().count()).toBe(ROOMS + 2 - 25);
    await search('ROOM:7');
    await eventually(async () => expect(await text('#topics-found')).toBe('1 topic found'));
    await search('nothing of that name');
    await eventually(async () => expect(await text('#no-topics')).toBe('Nothing matches.'));
    await search('');
    await eventually(async () => expect(await text('#topics-found')).toBe(`${ROOMS + 2} topics`));
  });

  it('show how many messages go to them', async () => {
    const timer = setInterval(
      () => running.app.get(WebSocketEmitter).toTopic('lobby').send('said', 'hello'),
      100,
    );
    try {
      await eventually(async () => expect(Number(await text('#topics .rate'))).toBeGreaterThan(1));
    } finally {
      clearInterval(timer);
    }
    expect(await text('#topics .history')).toMatch(/^\d+ · [\d.]+ [KM]?B$/);
  });

  it('are plain text, whatever their name', async () => {
    await open(HOSTILE);
    expect(await page.locator('img').count()).toBe(0);
    expect(await opened().textContent()).toContain('Members3 connections');
    await page.keyboard.press('Escape');
    expect(await opened().isVisible()).toBe(false);
  });

  it('say who is in one, and a user is removed from it after asking', async () => {
    const [ada] = managersOf('ada');
    await open('lobby');
    const facts = (await opened().textContent()) ?? '';
    for (const fact of ['Members150 connections', 'Users', 'ada20 connections']) {
      expect(facts).toContain(fact);
    }
    await opened().getByRole('button', { name: 'Remove ada from this topic' }).click();
    const dialog = page.getByRole('dialog');
    expect(await dialog.textContent()).toContain('Remove ada from the topic lobby?');
    expect(await dialog.getByText('Close code for the client').isVisible()).toBe(false);
    await dialog.getByRole('button', { name: 'Cancel' }).click();
    expect(ada!.topics.has('lobby')).toBe(true);
    await opened().getByRole('button', { name: 'Remove ada from this topic' }).click();
    await dialog.getByRole('button', { name: 'Remove' }).click();
    await eventually(() => expect(ada!.topics.has('lobby')).toBe(false));
    await eventually(async () =>
      expect(await text('#announcement')).toBe('20 connections of ada removed from lobby.'),
    );
    await eventually(async () => expect(await opened().textContent()).not.toContain('ada'));
    expect(ada!.isActive).toBe(true);
    await eventually(async () =>
      expect(await text('#feed')).toContain('tester removed 20 connections of ada from lobby'),
    );
    await opened().getByRole('button', { name: 'Close the topic' }).click();
  });

  it('are among the facts of a connection, which can be removed from one', async () => {
    const client = await TestClient.open(running.url('/live?user=victim'));
    await client.subscribe(HOSTILE);
    await client.subscribe('tea');
    await expect(client.subscribe('vip')).rejects.toThrow('TOPIC_FORBIDDEN');
    await page.getByRole('searchbox', { name: 'Search by user' }).fill('victim');
    await eventually(async () => expect(await text('#connections th')).toBe('victim'));
    await page.locator('#connections tr').first().getByRole('button').click();
    const detail = page.locator('#detail');
    await eventually(async () => expect(await text('#detail-topics-title')).toBe('In 2 topics'));
    await detail.getByRole('button', { name: 'Remove this connection from tea' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Remove' }).click();
    expect((await client.next('unsubscribed')).data).toEqual({ topic: 'tea', reason: 'removed' });
    await eventually(async () => expect(await text('#detail-topics-title')).toBe('In 1 topic'));
    await eventually(async () =>
      expect(await text('#feed')).toContain('victim refused in vip: TOPIC_FORBIDDEN'),
    );
    expect(await text('#topics-note')).toContain('refused subscriptions: 1 × TOPIC_FORBIDDEN');
    // From there to the topic, and on to a user in it.
    await detail.getByRole('button', { name: `Details of the topic ${HOSTILE}` }).click();
    await eventually(async () => expect(await text('#topic-title')).toBe(HOSTILE));
    await opened().getByRole('button', { name: 'Connections of ada' }).click();
    await eventually(async () => expect(await text('#connections th')).toBe('ada'));
    await page.getByRole('button', { name: 'Close the details' }).click();
    await client.close();
  });

  it('keep the last values of one that has ended', async () => {
    await open('room:7');
    for (const { userId } of crowd.clients) {
      for (const manager of managersOf(userId)) manager.leave('room:7');
    }
    await eventually(async () =>
      expect(await text('#topic-detail .is-gone')).toBe('No connection is in this topic any more.'),
    );
    expect(await opened().locator('button.danger:enabled').count()).toBe(0);
    await opened().getByRole('button', { name: 'Close the topic' }).click();
  });

  it('fit a screen of 360 pixels, also with a long name, in light and in dark', async () => {
    const long = `wide-${'w'.repeat(250)}`;
    for (const manager of managersOf('grace')) await manager.join(long);
    await search('');
    await draw('wide-light', 'light', 1280);
    await search('');
    await draw('wide-dark', 'dark', 1280);
    for (const [scheme, name] of [
      ['light', 'lobby'],
      ['dark', long],
    ] as const) {
      await page.setViewportSize({ width: 360, height: 740 });
      await open(name);
      expect(await widthOfPage()).toBeLessThanOrEqual(360);
      await draw(`narrow-${scheme}`, scheme, 360);
      await opened()
        .getByRole('button', { name: /^Remove grace/ })
        .click();
      expect(await widthOfPage()).toBeLessThanOrEqual(360);
      await page.keyboard.press('Escape');
      await opened().getByRole('button', { name: 'Close the topic' }).click();
    }
  });
});

// Pictures of the section, to look at.
async function draw(name: string, colorScheme: 'light' | 'dark', width: number): Promise<void> {
  if (PICTURES === undefined) return;
  mkdirSync(PICTURES, { recursive: true });
  await page.setViewportSize({ width, height: 900 });
  await page.emulateMedia({ colorScheme });
  if (width > 360) {
    await page.locator('#topics tr').nth(20).waitFor();
    await page.screenshot({ path: `${PICTURES}/page-${name}.png`, fullPage: true });
    await open('lobby');
  }
  await section().screenshot({ path: `${PICTURES}/topics-${name}.png` });
  if (width > 360) await opened().getByRole('button', { name: 'Close the topic' }).click();
}
