import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { describe, expect, it } from '@jest/globals';

import { tableOf } from '../support/readme.js';

const tests = fileURLToPath(new URL('..', import.meta.url));
const specs = new Set(
  readdirSync(tests, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.spec.ts'))
    .map((path) => path.replace(/^.*\/|\.spec\.ts$/g, '')),
);

describe('the kinds of fault in docs/decisions.md', () => {
  it.each(tableOf('docs/decisions.md', 'kinds'))(
    '%s: names members, a mechanism, and specs that exist',
    (_kind, members, mechanism, named) => {
      expect(members).not.toBe('');
      expect(mechanism).not.toBe('');
      const names = [...named.matchAll(/`([\w-]+)`/g)].map(([, name]) => name!);
      expect(names.length > 0 || named.startsWith('all')).toBe(true);
      expect(names.filter((name) => !specs.has(name))).toEqual([]);
    },
  );
});
