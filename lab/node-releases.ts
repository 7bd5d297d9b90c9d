import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** A release of Node.js. */
export interface NodeRelease {
  /** As `process.versions.node` has it. */
  readonly version: string;
  /** The folder of its executables. */
  readonly bin: string;
}

/** The release that this process runs on. */
export const thisRelease: NodeRelease = {
  version: process.versions.node,
  bin: dirname(process.execPath),
};

/**
 * Returns releases, the newest of each wanted version. The package `node` has them; they are installed once, into
 * `node_modules/.cache`.
 */
export function nodeReleases(wanted: readonly string[]): NodeRelease[] {
  return wanted.map((version) => {
    const folder = join(nodeModules(), '.cache/nestjs-websocket-isolation-node', version);
    const bin = join(folder, 'node_modules/.bin');
    if (!existsSync(join(bin, 'node'))) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'package.json'), '{ "private": true }');
      execFileSync('npm', ['install', '--no-audit', '--no-fund', `node@${version}`], {
        cwd: folder,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    }
    const printed = execFileSync(join(bin, 'node'), ['--version'], { encoding: 'utf8' });
    return { version: printed.trim().slice(1), bin };
  });
}

// This file is also compiled into another folder. A package tells where the project's modules are.
function nodeModules(): string {
  const require = createRequire(import.meta.url);
  return dirname(dirname(require.resolve('ws/package.json')));
}
