import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { describe, expect, it } from '@jest/globals';

import { Script } from '../../src/redis/script.js';

const REDIS = fileURLToPath(new URL('../../src/redis/', import.meta.url));
/** Functions and words of Lua that a bracket may follow. */
const LUA = new Set(
  'and elseif error for function if in ipairs local not or pairs return tonumber tostring type unpack until while'.split(
    ' ',
  ),
);
const CALL = /(?<![\w.:'])([a-z]\w*)\s*\(/gi;
const DEFINED = /local function (\w+)/g;

const modules = await Promise.all(
  readdirSync(REDIS)
    .filter((name) => name.endsWith('-scripts.ts'))
    .map(
      (name) => import(pathToFileURL(join(REDIS, name)).href) as Promise<Record<string, unknown>>,
    ),
);
const scripts = modules
  .flatMap((module) => Object.entries(module))
  .filter((entry): entry is [string, Script] => entry[1] instanceof Script);

/** Functions that a script calls and does not define: Redis would stop it, where it comes to that line. */
function undefinedIn(source: string): string[] {
  const code = source.replaceAll(/--.*$/gm, '').replaceAll(/'[^']*'/g, "''");
  const defined = new Set([...code.matchAll(DEFINED)].map(([, name]) => name!));
  const called = [...code.matchAll(CALL)].map(([, name]) => name!);
  return called.filter((name) => !defined.has(name) && !LUA.has(name));
}

describe('the scripts that run in Redis', () => {
  it('are found', () => {
    expect(scripts.length).toBeGreaterThan(5);
    expect(undefinedIn('local at = whole(1)')).toEqual(['whole']);
  });

  it.each(scripts)('%s defines every function that it calls', (_name, { source }) => {
    expect(undefinedIn(source)).toEqual([]);
  });
});
