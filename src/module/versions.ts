import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** Version of this package; `unknown` in bundled code, which has no `package.json` to read. */
export const ownVersion = versionIn(() => new URL('../../package.json', import.meta.url));

/** Version of `@nestjs/core` that this package uses. */
export const nestVersion = versionIn(() => {
  const entry = createRequire(import.meta.url).resolve('@nestjs/core');
  return join(dirname(entry), 'package.json');
});

function versionIn(file: () => string | URL): string {
  try {
    const { version } = JSON.parse(readFileSync(file(), 'utf8')) as { version: string };
    return version;
  } catch {
    return 'unknown';
  }
}
