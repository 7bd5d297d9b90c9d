import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { type Options, transformFileSync } from '@swc/core';

const project = fileURLToPath(new URL('../..', import.meta.url));
// As the tests are compiled. (A name that is not a literal: the file has no types.)
const { default: config } = (await import(join(project, 'jest.config.js'))) as {
  default: { transform: Record<string, [name: string, options: Options]> };
};
const [[, swcOptions]] = Object.values(config.transform) as [[string, Options]];

/**
 * The project in a folder of its own, compiled as it is now, without a build. `dist` would do, but other
 * tests build it anew while this one runs.
 *
 * @param folders what is compiled, each into `to`
 */
export function compiledProject(folders: Readonly<Record<string, string>>): {
  readonly path: string;
  remove(): void;
} {
  const path = mkdtempSync(join(tmpdir(), 'compiled-'));
  cpSync(join(project, 'package.json'), join(path, 'package.json'));
  symlinkSync(join(project, 'node_modules'), join(path, 'node_modules'));
  for (const [from, to] of Object.entries(folders)) {
    for (const file of sourcesOf(from)) {
      const target = join(path, to, file.replace(/\.ts$/, '.js'));
      mkdirSync(dirname(target), { recursive: true });
      writeFileSync(target, transformFileSync(join(project, from, file), swcOptions).code);
    }
  }
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

function sourcesOf(folder: string): string[] {
  const files = readdirSync(join(project, folder), { recursive: true }) as string[];
  return files.filter((file) => file.endsWith('.ts'));
}
