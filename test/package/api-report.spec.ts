import { execFileSync, spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';

import { packedPackage, project } from '../support/packed-package.js';

const reports = readdirSync(join(project, 'api'));

let folder: string;
let packed: string;
let written: string;
beforeAll(async () => {
  const archive = await packedPackage();
  folder = mkdtempSync(join(tmpdir(), 'api-'));
  execFileSync('tar', ['xzf', archive, '-C', folder]);
  packed = join(folder, 'package');
  symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'));
  written = join(folder, 'api');
  mkdirSync(written);
  const script = join(project, 'scripts/api-report.js');
  execFileSync(process.execPath, [script, '--of', packed, '--to', written]);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe('the public types', () => {
  it('have a report for each entry point', () => {
    expect(readdirSync(written).toSorted()).toEqual(reports.toSorted());
  });

  // `npm run api` writes them anew.
  it.each(reports)('are those of api/%s', (name) => {
    expect(readFileSync(join(written, name), 'utf8')).toBe(
      readFileSync(join(project, 'api', name), 'utf8'),
    );
  });

  it('have nothing in them that is internal', () => {
    const types = readdirSync(join(packed, 'dist'), { recursive: true, encoding: 'utf8' });
    const internal = types
      .filter((file) => file.endsWith('.d.ts'))
      .filter((file) => readFileSync(join(packed, 'dist', file), 'utf8').includes('@internal'));
    expect(internal).toEqual([]);
  });

  // `npm run typecheck` reads the source, which has more than is published.
  it('have all that the programs beside the library use', () => {
    const own = ['bench', 'demo', 'validation', 'why'];
    const config = join(folder, 'tsconfig.json');
    const types = join(packed, 'dist');
    const settings = {
      extends: join(project, 'tsconfig.json'),
      compilerOptions: {
        paths: {
          'nestjs-websocket-isolation': [join(types, 'index.d.ts')],
          'nestjs-websocket-isolation/*': [join(types, '*/index.d.ts')],
        },
        typeRoots: [join(project, 'node_modules/@types')],
      },
      include: own.map((name) => join(project, name)),
    };
    writeFileSync(config, JSON.stringify(settings));
    const compiler = join(project, 'node_modules/typescript/bin/tsc');
    const { stdout } = spawnSync(process.execPath, [compiler, '-p', config], { encoding: 'utf8' });
    expect(stdout).toBe('');
  });
});
