import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from 'nestjs-websocket-isolation/testing';
import type { Browser, Locator, Page } from 'playwright-core';

import { PAGE_PATIENCE_MS, startBrowser } from '../support/browser.js';
import { clientFolder } from '../support/client-folder.js';

const REGISTER = fileURLToPath(new URL('../support/register-typescript.js', import.meta.url));
const CLUSTER = fileURLToPath(new URL('../../demo/cluster.ts', import.meta.url));

let browser: Browser;
let demo: ChildProcess;
let output = '';

beforeAll(async () => {
  browser = await startBrowser();
  const args = ['--import', REGISTER, '--import', 'reflect-metadata', CLUSTER];
  const { REDIS_URL: _others, ...environment } = process.env;
  const env = {
    ...environment,
    PORT: '0',
    NO_COLOR: '1',
    DEMO_PACE: '100',
    DEMO_CLIENT: clientFolder(),
  };
  demo = spawn(process.execPath, args, { env, stdio: ['ignore', 'pipe', 'inherit'] });
  demo.stdout!.on('data', (chunk: Buffer) => (output += chunk.toString()));
});
afterAll(async () => {
  await browser.close();
  const ended = once(demo, 'exit');
  demo.kill('SIGTERM');
  await ended;
});

async function openPage(node: string): Promise<Page> {
  let address = '';
  await eventually(() => {
    const found = new RegExp(`\\(${node}\\) is at (http://\\S+)`).exec(output);
    if (!found) throw new Error(`the node "${node}" did not start:\n${output}`);
    address = found[1]!;
  });
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  page.setDefaultTimeout(PAGE_PATIENCE_MS);
  await page.goto(address);
  return page;
}

async function signIn(page: Page): Promise<Locator> {
  await page.getByLabel('Your name').fill('ada');
  await page.getByRole('button', { name: 'Sign in' }).click();
  const person = page.locator('[data-user="ada"]');
  await person.locator('.tab.open').first().waitFor();
  return person;
}

describe('the demo of two nodes, in a browser', () => {
  it('shares messages and limits between both nodes, and replays what a tab has missed', async () => {
    const [left, right] = [await openPage('left'), await openPage('right')];
    await left.locator('#cluster', { hasText: '“left”, which shares' }).waitFor();
    await right.locator('#cluster', { hasText: '“right”, which shares' }).waitFor();

    const [onLeft, onRight] = [await signIn(left), await signIn(right)];
    const say = async (text: string): Promise<void> => {
      await onLeft.getByRole('textbox').fill(text);
      await onLeft.getByRole('button', { name: 'Say' }).click();
    };
    await say('hello over there');
    await onRight.getByText('ada: hello over there').waitFor();
    await onLeft.getByText('1 of 20 here, 1 on other nodes').waitFor();

    await onRight.getByRole('button', { name: 'Cut the line' }).click();
    await onRight.locator('.tab.waiting').waitFor();
    await say('while you were away');
    await onLeft.getByText('ada: while you were away').waitFor();
    await onRight.getByRole('button', { name: 'Mend the line' }).click();
    await onRight.getByText('Back in the room. Missed meanwhile: 1.').waitFor();
    await onRight.getByText('ada: while you were away').waitFor();

    await onRight.getByRole('button', { name: 'Open until refused' }).click();
    await onRight.getByText(/was refused with 4429/).waitFor();
    // The connection on the left node counts too.
    expect(await onRight.locator('.tab.open').count()).toBe(19);
  });
});
