import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

export const project = fileURLToPath(new URL('../..', import.meta.url));

/** The files that the package is built from, and the configuration of the build. */
const INGREDIENTS = [
  'package.json',
  'nest-cli.json',
  'tsconfig.json',
  'tsconfig.build.json',
  'README.md',
  'LICENSE',
  'src',
];
const ABANDONED_AFTER_MS = 120_000;

/**
 * Resolves with the path of the packed package, as `npm publish` would send it. It is built in another folder, so that
 * processes that use `dist` at the same time are not disturbed. It is built once for all specs, and again only when one
 * of its ingredients changes.
 */
export async function packedPackage(): Promise<string> {
  const cache = join(project, 'node_modules/.cache/nestjs-websocket-isolation');
  const archive = join(cache, `${fingerprint()}.tgz`);
  const lock = `${archive}.lock`;
  mkdirSync(cache, { recursive: true });
  while (!existsSync(archive)) {
    if (!takeLock(lock)) await pause(50);
    else {
      try {
        forgetOthers(cache, archive, lock);
        pack(archive);
      } finally {
        rmSync(lock, { recursive: true, force: true });
      }
    }
  }
  return archive;
}

function pack(archive: string): void {
  const folder = mkdtempSync(join(tmpdir(), 'packing-'));
  try {
    for (const name of INGREDIENTS) {
      cpSync(join(project, name), join(folder, name), { recursive: true });
    }
    symlinkSync(join(project, 'node_modules'), join(folder, 'node_modules'));
    const run = (args: string[]): string =>
      execFileSync('npm', args, {
        cwd: folder,
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'ignore'],
      });
    run(['run', 'build']);
    const [packed] = JSON.parse(run(['pack', '--json', '--ignore-scripts'])) as [
      { filename: string },
    ];
    const aside = `${archive}.part`;
    cpSync(join(folder, packed.filename), aside);
    renameSync(aside, archive);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function takeLock(lock: string): boolean {
  try {
    mkdirSync(lock);
    return true;
  } catch {
    const since = statSync(lock, { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
    if (Date.now() - since > ABANDONED_AFTER_MS) rmSync(lock, { recursive: true, force: true });
    return false;
  }
}

// Deletes packages older than an hour. Another checkout may still use younger ones.
function forgetOthers(cache: string, ...wanted: string[]): void {
  for (const name of readdirSync(cache)) {
    const path = join(cache, name);
    const age = Date.now() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (!wanted.includes(path) && age > 3_600_000) rmSync(path, { recursive: true, force: true });
  }
}

function fingerprint(): string {
  const hash = createHash('sha256');
  for (const name of INGREDIENTS) {
    const path = join(project, name);
    const files = statSync(path).isDirectory()
      ? readdirSync(path, { recursive: true, encoding: 'utf8' }).map((file) => join(name, file))
      : [name];
    for (const file of files.toSorted()) {
      if (!statSync(join(project, file)).isFile()) continue;
      hash.update(`${file}\0`).update(readFileSync(join(project, file)));
    }
  }
  return hash.digest('hex').slice(0, 16);
}
