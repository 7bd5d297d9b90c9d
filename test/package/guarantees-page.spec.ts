import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from '@jest/globals';

import { projectFile } from '../support/readme.js';

const exists = (path: string): boolean =>
  existsSync(fileURLToPath(new URL(`../../${path}`, import.meta.url)));

describe('docs/guarantees.md', () => {
  const page = projectFile('docs/guarantees.md');

  it('names tests that exist', () => {
    const names = [...page.matchAll(/`((?:guarantees|e2e|security)\/[\w-]+)`/g)];
    const specs = [...new Set(names.map(([, name]) => `test/${name}.spec.ts`))];
    expect(specs.length).toBeGreaterThan(10);
    expect(specs.filter((spec) => !exists(spec))).toEqual([]);
  });

  it('names variables that their test reads', () => {
    const rows = [
      ...page.matchAll(/`(guarantees|e2e|security)\/([\w-]+)` +\| [^|]+\| `([A-Z_]+)=/g),
    ];
    expect(rows.length).toBe(9);
    for (const [, folder, name, variable] of rows) {
      expect(projectFile(`test/${folder}/${name}.spec.ts`)).toContain(`process.env['${variable}']`);
    }
  });
});
