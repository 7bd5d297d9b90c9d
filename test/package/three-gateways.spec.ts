import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { eventually } from 'nestjs-websocket-isolation/testing';
import type { Browser, Page } from 'playwright-core';

import { PAGE_PATIENCE_MS, startBrowser } from '../support/browser.js';
import { PackedApp } from '../support/packed-app.js';
import { projectFile } from '../support/readme.js';

const SOURCE = 'test/support/three-gateways';
const PUBLIC: Readonly<Record<string, string>> = {
  'page.html': 'public/index.html',
  'page.js': 'public/page.js',
};
const ENVIRONMENT = { ...process.env, NODE_OPTIONS: '', NODE_ENV: 'test' };

const files = readdirSync(new URL('../support/three-gateways/', import.meta.url)).map(
  (name) => [PUBLIC[name] ?? `src/${name}`, projectFile(`${SOURCE}/${name}`)] as const,
);

describe.each(['ESM', 'CommonJS'])(
  'an app of three gateways, in %s, with the packed package',
  (kind) => {
    let app: PackedApp;
    beforeAll(async () => {
      app = await PackedApp.create(files, { skipLibCheck: true });
      if (kind === 'CommonJS') app.write('package.json', '{ "name": "app", "private": true }');
    });
    afterAll(() => app?.remove());

    it('compiles in the strictest mode', () => {
      expect(app.compile()).toEqual({ stdout: '', status: 0 });
    });

    it('passes its own tests', () => {
      const written = projectFile(`${SOURCE}/app.tests.ts`).match(/^it\(/gm)!.length;
      const { stdout } = spawnSync(
        process.execPath,
        [
          '--import',
          'reflect-metadata',
          '--expose-gc',
          '--test',
          '--test-reporter=tap',
          'dist/app.tests.js',
        ],
        { cwd: app.folder, encoding: 'utf8', env: ENVIRONMENT, timeout: 800_000 },
      );
      expect(stdout).toContain(`# pass ${written}\n`);
    });

    if (kind !== 'ESM') return;
    describe('in Chromium', () => {
      inChromium(() => app.folder);
    });
  },
);

/** Two people use the page of the app, which has the client without a bundler. */
function inChromium(folder: () => string): void {
  let server: ChildProcess;
  let url: string;
  let browser: Browser;
  const problems: string[] = [];

  beforeAll(async () => {
    const stdio = ['ignore', 'pipe', 'inherit'] as const;
    server = spawn(process.execPath, ['dist/main.js'], {
      cwd: folder(),
      env: ENVIRONMENT,
      stdio: [...stdio],
    });
    [browser, url] = await Promise.all([
      startBrowser(),
      new Promise<string>((resolve) => createInterface(server.stdout!).once('line', resolve)),
    ]);
  });
  afterAll(async () => {
    await browser?.close();
    server?.kill('SIGKILL');
  });

  async function visit(name: string): Promise<Page> {
    const page = await browser.newPage();
    page.setDefaultTimeout(PAGE_PATIENCE_MS);
    page.on('pageerror', (error) => problems.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error') problems.push(message.text());
    });
    await page.goto(`${url}/?name=${name}`);
    return page;
  }

  it('has all three gateways on one page', async () => {
    const [ada, bob] = [await visit('ada'), await visit('bob')];
    await ada.getByText('2 here').waitFor();
    await bob.getByLabel('Message').fill('hello');
    await bob.getByLabel('Message').press('Enter');
    await ada.getByText('bob: hello').waitFor();
    await ada.getByRole('button', { name: 'Ask the agent' }).click();
    await ada.getByRole('button', { name: 'Allow' }).click();
    await ada.getByText('cake or tea').waitFor();
    await eventually(async () => {
      await fetch(`${url}/gauges/load/0.25`, { method: 'POST' });
      expect(await bob.locator('#load').innerText()).toBe('0.25');
    });
    expect(await ada.locator('#errors').innerText()).toBe('');
    expect(problems).toEqual([]);
  });
}
