import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { project } from '../support/packed-package.js';
import type { NodeRelease } from './setup.js';

/** The first release of each line that Nest 12 supports, and the newest one of the lines that came after it. */
const RELEASES = ['20.19.0', '22.12.0', '24', '26'];

/** The release that this process runs on. */
export const thisRelease: NodeRelease = {
  version: process.versions.node,
  bin: dirname(process.execPath),
};

/** Returns the releases with which set-ups are run. The package `node` has them; they are installed once. */
export function nodeReleases(): NodeRelease[] {
  return RELEASES.map((wanted) => {
    const folder = join(project, 'node_modules/.cache/nestjs-websocket-isolation-node', wanted);
    const bin = join(folder, 'node_modules/.bin');
    if (!existsSync(join(bin, 'node'))) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'package.json'), '{ "private": true }');
      execFileSync('npm', ['install', '--no-audit', '--no-fund', `node@${wanted}`], {
        cwd: folder,
        stdio: ['ignore', 'ignore', 'inherit'],
      });
    }
    const version = execFileSync(join(bin, 'node'), ['--version'], { encoding: 'utf8' });
    return { version: version.trim().slice(1), bin };
  });
}
