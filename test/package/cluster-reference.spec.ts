import { readdirSync } from 'node:fs';

import { describe, expect, it } from '@jest/globals';

import { RedisClusterSettings } from '../../src/redis/redis.options.js';
import { plain, projectFile, tableOf } from '../support/readme.js';

const SPECS = new URL('../cluster/', import.meta.url);

const show = (value: unknown): string => (typeof value === 'string' ? `'${value}'` : String(value));

describe('docs/cluster.md', () => {
  it('has every option with its default, and no other', () => {
    const rows = tableOf('docs/cluster.md', 'options').map(([name, value]) => [
      plain(name),
      plain(value),
    ]);
    const settings = Object.entries(new RedisClusterSettings());
    expect(rows).toEqual(settings.map(([name, value]) => [name, show(value)]));
  });

  it('names tests that exist', () => {
    const sources = readdirSync(SPECS)
      .filter((name) => name.endsWith('.spec.ts'))
      .map((name) => projectFile(`test/cluster/${name}`))
      .join('\n');
    const named = tableOf('docs/cluster.md', 'failures').map((row) => plain(row.at(-1)));
    expect(named.length).toBeGreaterThan(10);
    expect(named.filter((name) => !sources.includes(name))).toEqual([]);
  });
});
