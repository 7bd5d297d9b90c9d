import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';

import { describe, expect, it } from '@jest/globals';
import * as whole from 'class-validator';

import * as parts from '../../src/validation/class-validator.js';

const run = promisify(execFile);
const { validateSync, ...decorators } = parts;
const SOURCE = new URL('../../src/validation/class-validator.ts', import.meta.url);

/** All files that Node loads for some files of class-validator. */
async function loadedFor(files: readonly string[]): Promise<string> {
  const script = `${JSON.stringify(files)}.forEach(require); console.log(Object.keys(require.cache).join('\\n'));`;
  const { stdout } = await run(process.execPath, ['--eval', script]);
  return stdout;
}

describe('the parts of class-validator', () => {
  it('are those that its main file exports, so that an app shares them', () => {
    expect({ ...whole }).toMatchObject(decorators);
  });

  it('apply the rules of decorators that an app takes from the main file', () => {
    class Options {
      @whole.IsEmail()
      address = 'nobody';
    }

    const [fault] = validateSync(new Options());

    expect(fault).toMatchObject({ property: 'address' });
    expect(Object.keys(fault?.constraints ?? {})).toEqual(['isEmail']);
  });

  it('are a few files, without the telephone numbers of the world', async () => {
    const source = await readFile(SOURCE, 'utf8');
    const files = [...source.matchAll(/'(class-validator\/.+)'/g)].map(([, file]) => file!);

    const loaded = await loadedFor(files);

    expect(loaded).toContain('IsInt.js');
    expect(loaded).not.toContain('libphonenumber');
    expect(loaded.split('\n').length).toBeLessThan(60);
  });
});
