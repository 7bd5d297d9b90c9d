// Packs the package as `npm publish` would, and unpacks it to dist-packed/package, for `npm run test:packed`.
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const project = fileURLToPath(new URL('..', import.meta.url));
const folder = join(project, 'dist-packed');

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder);
const packed = execFileSync('npm', ['pack', '--json', '--pack-destination', folder], {
  cwd: project,
  encoding: 'utf8',
  stdio: ['ignore', 'pipe', 'inherit'],
});
// `prepack` runs the build, and the output of the build precedes the JSON.
const [{ filename }] = JSON.parse(packed.slice(packed.indexOf('[\n')));
execFileSync('tar', ['xzf', join(folder, filename), '-C', folder]);
