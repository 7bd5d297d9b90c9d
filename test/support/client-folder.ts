import { mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { clientScript } from './client-scripts.js';

/** A folder with the client as the package has it. The demo serves that of the build, which its tests do without. */
export function clientFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'client-'));
  for (const file of readdirSync(new URL('../../src/client/', import.meta.url))) {
    const name = file.replace(/\.ts$/, '.js');
    writeFileSync(join(folder, name), clientScript(name));
  }
  return folder;
}
