import type { AddressInfo } from 'node:net';

import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { eventually } from 'nestjs-websocket-isolation/testing';
import type { Browser, Locator, Page } from 'playwright-core';

import { PAGE_PATIENCE_MS, startBrowser } from '../support/browser.js';
import { clientFolder } from '../support/client-folder.js';

// On a slow machine, the tabs of these tests would be stale before they are used.
process.env['DEMO_PACE'] = '100';
process.env['DEMO_CLIENT'] = clientFolder();
const { AppModule } = await import('../../demo/app.module.js');

let browser: Browser;
let app: INestApplication;
let page: Page;
const problems: string[] = [];

beforeAll(async () => {
  browser = await startBrowser();
});
afterAll(() => browser.close());

beforeEach(async () => {
  app = await NestFactory.create(AppModule, { logger: false });
  await app.listen(0, '127.0.0.1');
  const { port } = app.getHttpServer().address() as AddressInfo;
  page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(PAGE_PATIENCE_MS);
  problems.length = 0;
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => {
    if (message.type() === 'error') problems.push(message.text());
  });
  await page.goto(`http://127.0.0.1:${port}/`);
});
afterEach(async () => {
  await page.close();
  await app.close();
});

async function signIn(name: string, room = 'lounge'): Promise<Locator> {
  await page.getByLabel('Your name').fill(name);
  await page.getByLabel('Room').fill(room);
  await page.getByRole('button', { name: 'Sign in' }).click();
  const person = page.locator(`[data-user="${name}"]`);
  await person.locator('.tab.open').first().waitFor();
  return person;
}

const text = async (locator: Locator): Promise<string> => (await locator.textContent()) ?? '';
const names = (person: Locator): Promise<string[]> => person.locator('.room b').allTextContents();
const ledger = async (): Promise<number[]> => {
  const cells = page.locator('[data-ledger=created], [data-ledger=active], [data-ledger=disposed]');
  return (await cells.allTextContents()).map(Number);
};

describe('the demo, in a browser', () => {
  it('lets several people chat with the assistant side by side', async () => {
    const ada = await signIn('ada');
    const bob = await signIn('bob');
    await ada.getByRole('textbox').fill('tea or coffee');
    await ada.getByRole('button', { name: 'Ask the assistant' }).click();
    await ada.getByRole('button', { name: 'Allow' }).click();
    await ada.locator('[data-event=agent_completed]').waitFor();
    const events = await ada
      .locator('.messages li')
      .evaluateAll((items) => items.map((item) => item.getAttribute('data-event')));
    expect(events).toEqual([
      'agent_started',
      'agent_thinking',
      'tool_executing',
      'tool_completed',
      'agent_completed',
    ]);
    expect(await text(ada.locator('.messages'))).toContain('coffee or tea');
    expect(await text(bob.locator('.messages'))).toBe('');
    // A second tab of the same user is in the room too.
    await ada.getByRole('button', { name: 'New tab', exact: true }).click();
    await eventually(async () => expect(await ada.locator('.tab.open').count()).toBe(2));
    await ada.getByRole('textbox').fill('hello');
    await ada.getByRole('button', { name: 'Say', exact: true }).click();
    await ada.locator('.tab').nth(1).click();
    await eventually(async () =>
      expect(await text(ada.locator('.messages'))).toContain('ada: hello'),
    );
    expect(await text(ada.locator('.facts'))).toContain('ada:thread-A');
    expect(problems).toEqual([]);
  });

  it('asks every tab of the thread before the assistant uses a tool, and stops it', async () => {
    const ada = await signIn('ada');
    const ask = async (question: string): Promise<void> => {
      await ada.getByRole('textbox').fill(question);
      await ada.getByRole('button', { name: 'Ask the assistant' }).click();
    };
    await ada.getByRole('button', { name: 'New tab', exact: true }).click();
    await eventually(async () => expect(await ada.locator('.tab.open').count()).toBe(2));
    const tab = (place: number): Locator => ada.locator('.tab').nth(place);
    const question = ada.getByText('May the assistant use the tool');
    await ask('one two');
    // The other tab refuses, and the first one is told that the question is answered.
    await tab(1).click();
    await ada.getByRole('button', { name: 'Refuse', exact: true }).click();
    await ada.getByText('Then I leave it as it is.').waitFor();
    await tab(0).click();
    await ada.locator('[data-event=agent_completed]').waitFor();
    expect(await ada.locator('[data-event=agent_token]').count()).toBe(0);
    expect(await question.isVisible()).toBe(false);
    // A run that is stopped asks nothing any more, and answers nothing.
    await ask('three four');
    await question.waitFor();
    await ada.getByRole('button', { name: 'Stop it' }).click();
    await ada.locator('[data-event=agent_cancelled]').waitFor();
    await eventually(async () => expect(await question.isVisible()).toBe(false));
    expect(await ada.locator('[data-event=agent_completed]').count()).toBe(1);
    expect(problems).toEqual([]);
  });

  it('lets people in one room talk to each other, and shows who is there', async () => {
    const [ada, bob] = [await signIn('ada', 'tea'), await signIn('bob', 'tea')];
    const eve = await signIn('eve', 'coffee');
    await eventually(async () => expect(await names(ada)).toEqual(['ada', 'bob']));
    await eventually(async () => expect(await names(bob)).toEqual(['ada', 'bob']));
    await ada.getByRole('textbox').fill('is there any cake?');
    await ada.getByRole('button', { name: 'Say', exact: true }).click();
    await bob.getByText('ada: is there any cake?').waitFor();
    await bob.getByRole('button', { name: 'Cut the line' }).click();
    await eventually(async () => expect(await names(ada)).toEqual(['ada']));
    // What Bob says before his client knows that the line is cut is lost with it.
    await eventually(async () => expect(await bob.locator('.tab.open').count()).toBe(0));
    await ada.getByRole('textbox').fill('all eaten');
    await ada.getByRole('button', { name: 'Say', exact: true }).click();
    await ada.getByText('ada: all eaten').waitFor();
    await bob.getByRole('textbox').fill('I come back');
    await bob.getByRole('button', { name: 'Say', exact: true }).click();
    // The client of Bob comes back to the room, gets what he has missed, and sends what has waited.
    await bob.getByRole('button', { name: 'Mend the line' }).click();
    await ada.getByText('bob: I come back').waitFor();
    await bob.getByText('Back in the room. Missed meanwhile: 1.').waitFor();
    await bob.getByText('ada: all eaten').waitFor();
    await eventually(async () => expect(await names(ada)).toEqual(['ada', 'bob']));
    expect(await names(eve)).toEqual(['eve']);
    expect(await text(eve.locator('.messages'))).toBe('');
    expect(problems).toEqual([]);
  });

  it('refuses the 21st with its reason, and keeps the ledger balanced when a connection is cut', async () => {
    const ada = await signIn('ada');
    await ada.getByRole('button', { name: 'Open until refused' }).click();
    await eventually(async () =>
      expect(await text(ada.locator('.refusal'))).toMatch(/refused with 4429 \(user-limit\)/),
    );
    await eventually(async () => expect(await text(ada.locator('.count'))).toBe('20 of 20'));
    await ada.locator('.tab').nth(3).click();
    await ada.getByRole('button', { name: 'Cut the line' }).click();
    await ada.locator('.tab.waiting').waitFor();
    expect(await text(ada.locator('.tab.waiting'))).toContain('1006');
    await eventually(async () => expect(await ledger()).toEqual([20, 19, 1]));
    expect(await text(page.locator('[data-ledger=verdict]'))).toContain('true');
    // One slot is free again.
    await ada.getByRole('button', { name: 'New tab', exact: true }).click();
    await eventually(async () => expect(await text(ada.locator('.count'))).toBe('20 of 20'));
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(1280);
    await page.setViewportSize({ width: 360, height: 800 });
    expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(360);
  });
});
