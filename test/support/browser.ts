import { existsSync } from 'node:fs';

import { type Browser, chromium } from 'playwright-core';

const PATHS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'];

/** Milliseconds for one step of a page: test machines are shared and may be slow. */
export const PAGE_PATIENCE_MS = 600_000;

/** Starts a headless browser without background network traffic. The caller closes it. */
export function startBrowser(): Promise<Browser> {
  const executablePath = process.env['CHROMIUM_PATH'] ?? PATHS.find((path) => existsSync(path));
  if (!executablePath)
    throw new Error('Chromium is missing: run `npm run setup` as root, which installs it.');
  return chromium.launch({
    timeout: PAGE_PATIENCE_MS,
    executablePath,
    headless: true,
    args: [
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
    ],
  });
}
