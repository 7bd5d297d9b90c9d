import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { beforeAll, describe, expect, it } from '@jest/globals';
import { format, resolveConfig } from 'prettier';

import { differences } from './differences.js';
import type { Verdict } from './judge.js';
import { scenarios } from './scenarios/index.js';
import { tableOf } from './table.js';

const project = fileURLToPath(new URL('../..', import.meta.url));
const titles = scenarios.map(({ title }) => title);

describe('beside stock Nest', () => {
  let verdicts: ReadonlyMap<string, Verdict>;

  // In a separate process, because some behaviour of stock ends the process.
  beforeAll(async () => {
    const hooks = ['./test/support/register-typescript.js', 'reflect-metadata'];
    const args = [...hooks.flatMap((hook) => ['--import', hook]), 'test/parity/main.ts', '--json'];
    const { stdout } = await promisify(execFile)(process.execPath, args, {
      cwd: project,
      maxBuffer: 64 * 1024 * 1024,
    });
    const all = JSON.parse(stdout) as Verdict[];
    verdicts = new Map(all.map((verdict) => [verdict.scenario, verdict]));
  }, 1_800_000);

  it('gives every scenario its own title', () => {
    expect(new Set(titles).size).toBe(titles.length);
  });

  it.each(titles)('differs in nothing but what is listed: %s', (title) => {
    expect(verdicts.get(title)).toMatchObject({ unexpected: [], missing: [] });
  });

  it('lists no difference that is not there', () => {
    const found = new Set([...verdicts.values()].flatMap(({ expected }) => expected));
    expect(differences.map(({ what }) => what).filter((what) => !found.has(what))).toEqual([]);
  });

  it('has the table of docs/compatibility.md', async () => {
    const page = `${project}docs/compatibility.md`;
    const text = readFileSync(page, 'utf8');
    const options = { ...(await resolveConfig(page)), parser: 'markdown' };
    const table = await format(tableOf(differences), options);
    const [, written] = /<!-- parity -->\n+([^]*?)\n*<!-- \/parity -->/.exec(text) ?? [];
    expect(written).toBe(table.trimEnd());
  });
});
