import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

import type { Labels } from './metric.js';

/** What runs here. */
export function buildInfo(adapter: string): Labels {
  return { version: ownVersion, nest_version: nestVersion, node_version: process.version, adapter };
}

const ownVersion = versionIn(() => new URL('../../package.json', import.meta.url));
const nestVersion = versionIn(() => {
  const entry = createRequire(import.meta.url).resolve('@nestjs/core');
  return join(dirname(entry), 'package.json');
});

// Bundled code has no files to look into.
function versionIn(file: () => string | URL): string {
  try {
    const { version } = JSON.parse(readFileSync(file(), 'utf8')) as { version: string };
    return version;
  } catch {
    return 'unknown';
  }
}
