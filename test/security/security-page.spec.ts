import { describe, expect, it } from '@jest/globals';

import { projectFile, tableOf } from '../support/readme.js';

const rows = tableOf('docs/security.md', 'security').map(([id, input, answer, tests]) => ({
  id: id!,
  input: input!,
  answer: answer!,
  tests: testsIn(tests!),
}));

/** Returns the tests that a cell names: `folder/spec` “title”, “title”; `folder/spec` … */
function testsIn(cell: string): { spec: string; title: string }[] {
  let spec = '';
  return [...cell.matchAll(/`([\w/-]+)`|“([^”]+)”/g)].flatMap(([, file, title]) => {
    if (file !== undefined) spec = file;
    return title === undefined ? [] : [{ spec, title }];
  });
}

/** Returns the quoted texts that may be the title of a test or group, or the first cell of a table row. */
function titlesOf(spec: string): Set<string> {
  const source = projectFile(`test/${spec}.spec.ts`);
  const texts = [...source.matchAll(/(?:\(|\[|^)\s*'((?:[^'\\]|\\.)*)'/gm)].map(
    ([, text]) => text!,
  );
  return new Set(texts);
}

describe('docs/security.md', () => {
  it('numbers its rows without a gap', () => {
    const ids = rows.map((_, index) => `S${index + 1}`);
    expect(rows.map(({ id }) => id)).toEqual(ids);
  });

  it.each(rows)('$id names tests that exist, or does not apply', ({ answer, tests }) => {
    expect(tests.length > 0 || answer.startsWith('does not apply')).toBe(true);
    const missing = tests.filter(({ spec, title }) => !titlesOf(spec).has(title));
    expect(missing).toEqual([]);
  });

  it('requires a version of ws that counts empty fragments', () => {
    const { peerDependencies } = JSON.parse(projectFile('package.json')) as {
      peerDependencies: Record<string, string>;
    };
    expect(peerDependencies['ws']).toMatch(/^\^8\.(2[3-9]|[3-9]\d)\./);
  });
});
