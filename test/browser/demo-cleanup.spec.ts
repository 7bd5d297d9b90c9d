import type { AddressInfo } from 'node:net';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { eventually } from 'nestjs-websocket-isolation/testing';
import type { Browser } from 'playwright-core';

import { PAGE_PATIENCE_MS, startBrowser } from '../support/browser.js';
import { clientFolder } from '../support/client-folder.js';

process.env['DEMO_CLIENT'] = clientFolder();
const { AppModule } = await import('../../demo/app.module.js');

describe('the demo, in a browser', () => {
  let browser: Browser;
  let app: INestApplication;
  beforeAll(async () => {
    browser = await startBrowser();
    app = await NestFactory.create(AppModule, { logger: false });
    await app.listen(0, '127.0.0.1');
  });
  afterAll(async () => {
    await browser.close();
    await app.close();
  });

  it('shows how a crowd of silent tabs is cleaned up', async () => {
    const { port } = app.getHttpServer().address() as AddressInfo;
    const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
    page.setDefaultTimeout(PAGE_PATIENCE_MS);
    await page.goto(`http://127.0.0.1:${port}/`);
    await page.getByLabel('Your name').fill('ada');
    await page.getByRole('button', { name: 'Sign in' }).click();
    const ada = page.locator('[data-user="ada"]');
    await ada.getByRole('button', { name: 'Open until refused' }).click();
    // Tabs are stale after 15 s of silence, and the job runs every 5 s.
    await eventually(async () =>
      expect(await page.locator('#feed').textContent()).toContain('with 4440: stale'),
    );
    await ada.locator('.tab.waiting').first().waitFor();
    expect(await ada.locator('.tab.waiting').first().textContent()).toContain('4440');
  });
});
