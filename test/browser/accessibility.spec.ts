import { mkdirSync } from 'node:fs';
import type { AddressInfo } from 'node:net';

import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import axe from 'axe-core';
import {
  IsolatedGateway,
  UserExecutionContext,
  WebSocketManagerFactory,
} from 'nestjs-websocket-isolation';
import { WebSocketIsolationAsyncApiModule } from 'nestjs-websocket-isolation/asyncapi';
import { defineContract } from 'nestjs-websocket-isolation/contract';
import { WebSocketIsolationDashboardModule } from 'nestjs-websocket-isolation/dashboard';
import { eventually } from 'nestjs-websocket-isolation/testing';
import type { Browser, Page } from 'playwright-core';
import { z } from 'zod';

import { chat } from '../support/chat-contract.js';
import { PAGE_PATIENCE_MS, startBrowser } from '../support/browser.js';
import { clientFolder } from '../support/client-folder.js';
import { Crowd, crowdOf } from '../support/crowd.js';
import { focusIn, listenToLiveRegions, walkByKeyboard } from '../support/keyboard.js';
import { LiveGateway } from '../support/live-gateway.js';
import { startApp, type TestApp } from '../support/test-app.js';

process.env['DEMO_CLIENT'] = clientFolder();
const { AppModule } = await import('../../demo/app.module.js');

/** Set to a folder to look at the pages: `PICTURES=/tmp/pictures`. */
const PICTURES = process.env['PICTURES'];
const LOOKS = [
  { colorScheme: 'light', width: 1280 },
  { colorScheme: 'dark', width: 1280 },
  { colorScheme: 'light', width: 390 },
  { colorScheme: 'dark', width: 390 },
] as const;
type Look = (typeof LOOKS)[number];

// axe leaves out the size of targets unless it is asked.
const AXE = `axe.run(document, { rules: { 'target-size': { enabled: true } } }).then(
  ({ violations }) => violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target, failureSummary }) => id + ': ' + target.join(' ') + ' ' + failureSummary)),
)`;
// The labels of charts that are drawn smaller than 12 px: a chart is scaled to the width of its part of the page.
const SMALL_LABELS = `[...document.querySelectorAll('svg text')].flatMap((label) => {
  const size = parseFloat(getComputedStyle(label).fontSize) * (label.getScreenCTM()?.a ?? 1);
  const isShown = label.checkVisibility() && label.textContent !== '';
  return isShown && size < 11.95 ? [label.textContent + ': ' + size.toFixed(1) + ' px'] : [];
})`;
// Texts with an end that cannot be seen. A text with a title can be read under the pointer; it belongs to a control
// with a name, or comes from a client.
const CUT_TEXTS = `[...document.querySelectorAll('body *')].flatMap((element) => {
  const { overflowX } = getComputedStyle(element);
  const isCut = (overflowX === 'hidden' || overflowX === 'clip') && element.scrollWidth > element.clientWidth + 1;
  const isMeant = element.closest('.hidden, .skip, svg') || element.querySelector('[title]') || element.title;
  return isCut && !isMeant && element.checkVisibility() && element.textContent.trim() !== ''
    ? [element.tagName + '.' + element.className + ': ' + element.textContent.trim()]
    : [];
})`;

@IsolatedGateway({ path: '/chat', contract: chat })
class ChatGateway {}

interface Folder {
  readonly name: string;
  readonly in?: Folder | undefined;
}
const Folder: z.ZodType<Folder> = z.lazy(() =>
  z.object({ name: z.string(), in: Folder.optional() }),
);
const orders = defineContract({
  client: {
    order: {
      description:
        'Orders what is in the basket. The reply comes when the kitchen has accepted it.',
      data: z.object({
        items: z
          .array(z.object({ name: z.string().max(80), count: z.int().min(1).max(99) }))
          .min(1),
        at: z.enum(['now', 'noon', 'evening']).default('now'),
        where: z.union([z.object({ table: z.number() }), z.object({ address: z.string() })]),
        note: z.string().nullable().optional(),
        folder: Folder.optional(),
      }),
      reply: z.object({ number: z.number().int(), ready: z.iso.datetime() }),
    },
    date: { data: z.date() },
    'a-message-with-a-very-long-name-that-does-not-fit-on-one-line-of-a-narrow-screen': {},
  },
});

@IsolatedGateway({ path: '/orders', contract: orders })
class OrdersGateway {}

let browser: Browser;
let page: Page;
const problems: string[] = [];

beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser.close());
afterEach(async () => {
  await page.close();
  expect(problems.splice(0)).toEqual([]);
});

async function visit(url: string, { colorScheme, width }: Look): Promise<void> {
  const viewport = { width, height: 900 };
  page = await browser.newPage({ viewport, colorScheme, reducedMotion: 'reduce' });
  page.setDefaultTimeout(PAGE_PATIENCE_MS);
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await page.addInitScript({ content: axe.source });
  await page.goto(url);
}

/** Everything on the page that a person cannot read or use. */
async function flaws(name: string, { colorScheme, width }: Look): Promise<string[]> {
  if (PICTURES !== undefined) {
    mkdirSync(PICTURES, { recursive: true });
    const path = `${PICTURES}/${name}-${colorScheme}-${width}.png`;
    await page.screenshot({ path, fullPage: true });
  }
  const found: string[] = [];
  for (const script of [AXE, SMALL_LABELS, CUT_TEXTS]) {
    found.push(...(await page.evaluate<string[]>(script)));
  }
  const shownWidth: number = await page.evaluate('document.documentElement.scrollWidth');
  if (shownWidth > width) found.push(`the page is ${shownWidth} px wide`);
  return found;
}

/** Expects that a list which is longer than its box scrolls by keyboard alone. */
async function expectScrollsByKeyboard(selector: string): Promise<void> {
  const list = page.locator(selector);
  await list.focus();
  await page.keyboard.press('End');
  await eventually(async () =>
    expect(await list.evaluate((element) => element.scrollTop)).toBeGreaterThan(0),
  );
}

/** Waits until the page has asked the server for its state again, so many times. */
async function polls(path: string, times: number): Promise<void> {
  for (let count = 0; count < times; count += 1) {
    const answer = await page.waitForResponse((response) => response.url().includes(path));
    await answer.finished();
  }
}

/** Presses Enter on a control that has the focus. */
async function enter(name: string | RegExp): Promise<void> {
  await page.getByRole('button', { name }).first().focus();
  await page.keyboard.press('Enter');
}

const expectFocus = (name: string): Promise<void> =>
  eventually(async () => expect(await focusIn(page)).toBe(name));

async function signIn(name: string): Promise<void> {
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Sign in' }).click();
  await page.locator(`[data-user="${name}"] .tab.open`).first().waitFor();
}

describe('the dashboard', () => {
  let running: TestApp;
  let crowd: Crowd;

  beforeAll(async () => {
    running = await startApp({
      imports: [
        WebSocketIsolationDashboardModule.forRoot({ guard: () => true, canAct: () => true }),
      ],
      providers: [LiveGateway],
      options: { topics: { history: {} }, cleanup: { unattachedAfterMs: 1 } },
    });
    crowd = new Crowd(running.url('/live'));
    await crowd.open(crowdOf(150));
    const factory = running.app.get(WebSocketManagerFactory);
    for (const userId of new Set(crowd.clients.map((client) => client.userId))) {
      for (const manager of factory.managersOf(userId)) await manager.join('lobby');
    }
    crowd.clients.slice(0, 4).forEach((each) => crowd.send(each, 'work', { label: 'assistant' }));
  });
  afterAll(async () => {
    await crowd.close();
    await running.close();
  });

  async function disturb(): Promise<void> {
    for (let index = 0; index < 30; index += 1) {
      await crowd.tryOnce('ada');
      await crowd.open([`guest-${index}`]);
      crowd.clients.at(-1)!.socket.close(1000);
      crowd.send(crowd.clients[30]!, 'fail');
      crowd.send(crowd.clients[30]!, 'nonsense');
    }
  }

  /** Leaves a connection without a socket, which a cleanup removes. */
  async function abandon(): Promise<void> {
    const factory = running.app.get(WebSocketManagerFactory);
    await factory.createManager(UserExecutionContext.fromWebSocketRequest({ userId: 'abandoned' }));
  }

  it.each(LOOKS)('is accessible, $colorScheme, $width px wide', async (look) => {
    await visit(`http://127.0.0.1:${running.port}/dashboard`, look);
    await page.locator('#connections tr').first().waitFor();
    await page.locator('#topics tr').first().waitFor();
    await disturb();
    await page.locator('#refusals li').first().waitFor();
    await page.locator('#incident-list li').first().waitFor();
    await page.getByText('What changed lately').click();
    await eventually(async () =>
      expect(await page.locator('#feed li').count()).toBeGreaterThan(20),
    );
    await page.locator('#connections tr button').first().click();
    await page.locator('#detail-facts dd').first().waitFor();
    await page.locator('#topics tr button').first().click();
    await page.locator('#topic-users li').first().waitFor();
    expect(await flaws('dashboard', look)).toEqual([]);
    await expectScrollsByKeyboard('#feed');

    await page.getByRole('button', { name: /^Disconnect all/ }).click();
    expect(await flaws('dashboard-confirm', look)).toEqual([]);
    await page.keyboard.press('Escape');
    await abandon();
    await page.getByRole('button', { name: 'Clean up now' }).click();
    await page.getByRole('dialog').getByRole('button', { name: 'Clean up' }).click();
    await page.locator('#runs tr').first().waitFor();
    expect(await flaws('dashboard-cleaned-up', look)).toEqual([]);
    await page.getByRole('button', { name: 'Drain…' }).click();
    expect(await flaws('dashboard-drain', look)).toEqual([]);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Pause' }).click();
    await page.getByRole('searchbox', { name: 'Search by user' }).fill('nobody of that name');
    await page.locator('#no-connections').getByText('Nothing matches.').waitFor();
    expect(await flaws('dashboard-paused', look)).toEqual([]);
  });

  it('can be used with the keyboard alone', async () => {
    await visit(`http://127.0.0.1:${running.port}/dashboard`, LOOKS[0]);
    await page.locator('#connections tr').first().waitFor();
    await page.locator('#topics tr').first().waitFor();
    expect(await walkByKeyboard(page)).toEqual([]);

    // From one to the next in the details: Escape leads back to where the first was opened.
    await enter(/^Details of the connection \S+ of ada$/);
    await expectFocus('detail-title');
    await page.locator('#detail-others button').first().focus();
    await page.keyboard.press('Enter');
    await expectFocus('detail-title');
    await page.keyboard.press('Escape');
    await eventually(async () =>
      expect(await focusIn(page)).toMatch(/^Details of the connection \S+ of ada$/),
    );

    // A dialog keeps the focus until Escape closes it.
    await enter('Details of the topic lobby');
    await expectFocus('topic-title');
    const remove = page.locator('#topic-users button.danger').first();
    const user = await remove.getAttribute('aria-label');
    await remove.focus();
    await page.keyboard.press('Enter');
    await expectFocus('confirm-cancel');
    const inside = new Set<string>();
    for (let stops = 0; stops < 6; stops += 1) {
      await page.keyboard.press('Tab');
      inside.add(await focusIn(page));
    }
    expect([...inside].filter((name) => name.startsWith('confirm-')).toSorted()).toEqual([
      'confirm-cancel',
      'confirm-do',
    ]);
    expect(await page.locator('dialog[open]').count()).toBe(1);
    await page.keyboard.press('Escape');
    await expectFocus(user!);

    // What was pressed is gone with the user: the focus stays in the details.
    await page.keyboard.press('Enter');
    await page.locator('#confirm-do').focus();
    await page.keyboard.press('Enter');
    await page.getByRole('status').filter({ hasText: 'removed from lobby.' }).waitFor();
    await page.getByRole('button', { name: user! }).waitFor({ state: 'detached' });
    await expectFocus('topic-title');
    await page.keyboard.press('Escape');
    await expectFocus('Details of the topic lobby');

    // The last page: the button that led there is disabled.
    await page.locator('#next').focus();
    await eventually(async () => {
      await page.keyboard.press('Enter');
      expect(await page.locator('#next').isDisabled()).toBe(true);
    });
    await expectFocus('connections-title');

    const stop = await listenToLiveRegions(page);
    await crowd.open(['newcomer']);
    await polls('/state', 3);
    await page.locator('#feed').getByText('newcomer connected').first().waitFor();
    expect(await stop()).toEqual([]);
  });
});

describe('the AsyncAPI page', () => {
  let running: TestApp;

  beforeAll(async () => {
    const info = { title: 'Chat', version: '2.0.0', description: 'What goes over the sockets.' };
    running = await startApp({
      imports: [WebSocketIsolationAsyncApiModule.forRoot({ guard: () => true, ...info })],
      providers: [ChatGateway, OrdersGateway],
    });
  });
  afterAll(() => running.close());

  it.each(LOOKS)('is accessible, $colorScheme, $width px wide', async (look) => {
    await visit(`http://127.0.0.1:${running.port}/asyncapi`, look);
    await page.locator('.message').first().waitFor();
    expect(await flaws('asyncapi', look)).toEqual([]);
    for (const summary of await page.locator('summary').all()) await summary.click();
    expect(await flaws('asyncapi-schemas', look)).toEqual([]);
    await page.getByRole('searchbox', { name: 'Find a message' }).fill('confirm');
    expect(await page.locator('#status').innerText()).toBe('1 of 12 messages');
    await page.getByText('The server asks').waitFor();
    expect(await page.locator('h2:visible').allInnerTexts()).toEqual(['/chat']);
    expect(await flaws('asyncapi-search', look)).toEqual([]);
  });

  it('can be used with the keyboard alone', async () => {
    await visit(`http://127.0.0.1:${running.port}/asyncapi`, LOOKS[0]);
    await page.locator('.message').first().waitFor();
    expect(await walkByKeyboard(page)).toEqual([]);
    await page.locator('summary').first().focus();
    await page.keyboard.press('Enter');
    await page.locator('details[open] pre').first().waitFor();
    expect(await walkByKeyboard(page)).toEqual([]);
    const stop = await listenToLiveRegions(page);
    await page.getByRole('searchbox', { name: 'Find a message' }).focus();
    await page.keyboard.type('con');
    await eventually(async () =>
      expect(await page.locator('#status').innerText()).toMatch(/ of 12 messages$/),
    );
    const heard = await stop();
    expect(heard).toEqual([...new Set(heard)]);
  });
});

describe('the demo', () => {
  let app: INestApplication;
  let url: string;

  beforeAll(async () => {
    app = await NestFactory.create(AppModule, { logger: false });
    await app.listen(0, '127.0.0.1');
    url = `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}/`;
  });
  afterAll(() => app.close());

  it.each(LOOKS)('is accessible, $colorScheme, $width px wide', async (look) => {
    await visit(url, look);
    await page.getByText('No user is signed in yet.').waitFor();
    expect(await flaws('demo-empty', look)).toEqual([]);
    const [ada, bob] = [`ada-${look.colorScheme}-${look.width}`, 'bob'];
    for (const name of [ada, bob, 'cy', 'dee', 'eve', 'flo']) await signIn(name);
    const person = page.locator(`[data-user="${ada}"]`);
    await person.getByRole('textbox').fill('tea or coffee');
    await person.getByRole('button', { name: 'Ask the assistant' }).click();
    await person.getByRole('button', { name: 'Allow' }).click();
    await person.locator('[data-event=agent_completed]').waitFor();
    for (let count = 0; count < 12; count += 1) {
      await person.getByRole('textbox').fill(`hello ${count}`);
      await person.getByRole('button', { name: 'Say', exact: true }).click();
    }
    await person.getByText('hello 11').waitFor();
    await page
      .locator(`[data-user="${bob}"]`)
      .getByRole('button', { name: 'Cut the line' })
      .click();
    await page.locator(`[data-user="${bob}"] .tab.waiting`).waitFor();
    await person.getByRole('button', { name: 'Open until refused' }).click();
    await person.locator('.refusal:not(:empty)').waitFor();
    await page.locator('#feed li').first().waitFor();
    expect(await flaws('demo', look)).toEqual([]);
  });

  it('can be used with the keyboard alone', async () => {
    await visit(url, LOOKS[0]);
    await page.getByLabel('Your name').focus();
    await page.keyboard.type('kim');
    await page.keyboard.press('Enter');
    const person = page.locator('[data-user="kim"]');
    await person.locator('.tab.open').waitFor();
    expect(await walkByKeyboard(page)).toEqual([]);

    const tab = person.locator('.tab').first();
    await tab.focus();
    await polls('/state', 2);
    expect(await tab.evaluate((button) => button === button.ownerDocument.activeElement)).toBe(
      true,
    );

    await person.getByRole('textbox').fill('tea or coffee');
    await page.keyboard.press('Enter');
    await person.getByText('kim: tea or coffee').waitFor();
    const stop = await listenToLiveRegions(page);
    await person.getByRole('textbox').fill('tea or coffee');
    await person.getByRole('button', { name: 'Ask the assistant' }).focus();
    await page.keyboard.press('Enter');
    await person.getByRole('button', { name: 'Allow' }).focus();
    await page.keyboard.press('Enter');
    await person.locator('[data-event=agent_completed]').waitFor();
    expect(await person.getByRole('textbox').evaluate((it) => it.matches(':focus'))).toBe(true);
    await polls('/state', 2);
    const heard = await stop();
    expect(heard).toContain('The assistant begins with “tea or coffee”.');
    expect(heard.filter((text) => text !== '')).toEqual([...new Set(heard.filter(Boolean))]);
    expect(heard).not.toContain('kim: tea or coffee');
  });
});
