import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';

import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { minifySync } from '@swc/core';

import { PACKAGE, PackedApp } from '../support/packed-app.js';
import { packedPackage, project } from '../support/packed-package.js';
import { projectFile } from '../support/readme.js';

interface Manifest {
  readonly exports: Readonly<Record<string, string | { types: string; default: string }>>;
  readonly peerDependencies: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta: Readonly<Record<string, { optional?: boolean }>>;
  readonly devDependencies: Readonly<Record<string, string>>;
}

/** The optional peer that each of these entry points needs. The others need none. */
const OPTIONAL: Readonly<Record<string, string>> = {
  './health': '@nestjs/terminus',
  './metrics': 'prom-client',
  './otel': '@opentelemetry/api',
  './redis': 'redis',
};

/** Pages whose examples are whole files. */
const EXAMPLES = ['docs/events.md', 'docs/health.md', 'docs/metrics.md', 'docs/tracing.md'];

const manifest = JSON.parse(projectFile('package.json')) as Manifest;
const peers = Object.keys(manifest.peerDependencies);
const optional = peers.filter((name) => manifest.peerDependenciesMeta[name]?.optional);
const required = peers.filter((name) => !optional.includes(name));
const entries = Object.keys(manifest.exports).filter((name) => name !== './package.json');

let archive: string;
/** The folder of an app that contains only files of the test. */
let folder: string;
let unpacked: string;
let files: string[];

beforeAll(async () => {
  archive = await packedPackage();
  folder = mkdtempSync(join(tmpdir(), 'tarball-'));
  writeFileSync(join(folder, 'package.json'), '{ "name": "app", "private": true }');
  unpacked = join(folder, 'node_modules', PACKAGE);
  mkdirSync(unpacked, { recursive: true });
  execFileSync('tar', ['xzf', archive, '-C', unpacked, '--strip-components=1']);
  files = readdirSync(unpacked, { recursive: true, withFileTypes: true })
    .filter((file) => file.isFile())
    .map((file) => relative(unpacked, join(file.parentPath, file.name)));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(file: string): string {
  return readFileSync(join(unpacked, file), 'utf8');
}

function tool(name: string, ...args: string[]): { status: number | null; output: string } {
  const bin = join(project, 'node_modules/.bin', name);
  const { status, stdout, stderr } = spawnSync(bin, args, { cwd: folder, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

describe('the tarball', () => {
  it('passes publint', () => {
    expect(tool('publint', '--strict', archive)).toEqual({
      status: 0,
      output: expect.stringContaining('All good!'),
    });
  });

  it('has types that resolve in every ESM resolution mode', () => {
    const { status, output } = tool('attw', archive, '--profile', 'esm-only', '--no-color');
    expect({ status, output }).toEqual({ status: 0, output: expect.anything() });
    for (const entry of entries) expect(output).toContain(`"${join(PACKAGE, entry)}"`);
  });

  it('has an entry point for every folder with an index.ts', () => {
    const folders = readdirSync(join(project, 'src'))
      .filter((name) => existsSync(join(project, 'src', name, 'index.ts')))
      .map((name) => `./${name}`);
    expect(entries.toSorted()).toEqual(['.', ...folders].toSorted());
    const targets = entries.flatMap((name) => Object.values(manifest.exports[name]!));
    expect(targets.filter((target) => !files.includes(target.replace('./', '')))).toEqual([]);
  });

  it('contains the build, and no development files', () => {
    const outside = files.filter((file) => !file.startsWith('dist/'));
    expect(outside.toSorted()).toEqual(['LICENSE', 'README.md', 'package.json']);
    const page = /^dist\/(asyncapi|dashboard|pages)\/public\//;
    const built = files.filter((file) => file.startsWith('dist/') && !page.test(file));
    expect(built.filter((file) => !/\.(js|d\.ts)$/.test(file))).toEqual([]);
    const scripts = built.filter((file) => file.endsWith('.js'));
    expect(scripts.length).toBeGreaterThan(100);
    // A reference to a source map that is not there makes debuggers warn.
    expect(scripts.filter((file) => read(file).includes('sourceMappingURL'))).toEqual([]);
  });

  it('contains no path of the build machine', () => {
    const places = [project.replace(/\/$/, ''), folder, join(homedir(), '.npm')];
    const telling = files.filter((file) => places.some((place) => read(file).includes(place)));
    expect(telling).toEqual([]);
  });
});

describe('the entry points', () => {
  it.each(entries)('%s imports only allowed packages, in code and in types', (entry) => {
    const { default: code, types } = manifest.exports[entry] as { default: string; types: string };
    const needed = OPTIONAL[entry];
    const allowed = new Set([...required, ...(needed === undefined ? [] : [needed])]);
    const imported = new Set([...packagesBehind(code), ...packagesBehind(types)]);
    expect([...imported].filter((name) => !allowed.has(name))).toEqual([]);
    expect([...imported].filter((name) => optional.includes(name))).toEqual(
      needed === undefined ? [] : [needed],
    );
  });

  it('need all optional peers, and each peer is a development dependency', () => {
    expect(Object.values(OPTIONAL).toSorted()).toEqual(optional.toSorted());
    expect(peers.filter((name) => !(name in manifest.devDependencies))).toEqual([]);
  });

  it('have a size, which scripts/size.js prints', () => {
    const script = join(project, 'scripts/size.js');
    const printed = execFileSync(process.execPath, [script, unpacked, '--json'], {
      encoding: 'utf8',
    });
    const sizes = JSON.parse(printed) as Record<string, { gzip: string; packages: string }>;
    expect(Object.keys(sizes)).toEqual(entries);
    for (const entry of entries) {
      const { gzip, packages } = sizes[entry]!;
      expect(gzip).toMatch(/^\d+\.\d kB$/);
      const needed = packages.split(' ').filter((name) => optional.includes(name));
      expect(needed.join()).toBe(OPTIONAL[entry] ?? '');
    }
  });

  it('have a client of at most 6 KB, bundled, minified and compressed', () => {
    const minified = minifySync(bundled('dist/client/index.js'), {
      module: true,
      compress: { passes: 3, ecma: 2022 },
      mangle: true,
    });
    expect(gzipSync(minified.code, { level: 9 }).length).toBeLessThanOrEqual(6 * 1_024);
  });

  it('load with the required peers only, and the boot error names the package to install', () => {
    for (const name of required) {
      const target = join(folder, 'node_modules', name);
      mkdirSync(dirname(target), { recursive: true });
      symlinkSync(join(project, 'node_modules', name), target);
    }
    const script = `
      await import('reflect-metadata');
      const { NestFactory } = await import('@nestjs/core');
      const load = (entry) => import('${PACKAGE}' + entry.slice(1));
      const { WebSocketIsolationModule } = await load('.');
      for (const entry of ${JSON.stringify(entries)}) {
        const loaded = await load(entry);
        const part = Object.values(loaded).find(({ name }) => /^WebSocketIsolation.+Module$/.test(name));
        const options = entry === './redis' ? { cluster: loaded.redisCluster({ url: 'redis://host' }) } : {};
        const own = entry === '.' || !part ? [] : [part.forRoot(['./asyncapi', './dashboard'].includes(entry) ? { guard: () => true } : {})];
        const imports = [WebSocketIsolationModule.forRoot(options), ...own];
        const outcome = await NestFactory.createApplicationContext(
          { module: class Root {}, imports },
          { logger: false, abortOnError: false },
        ).then((app) => app.close().then(() => 'started'), ({ code, message }) => code + ' ' + message);
        console.log(entry + ' ' + outcome);
      }
      process.exit();`;
    const output = execFileSync(process.execPath, ['--input-type=module', '--eval', script], {
      cwd: folder,
      encoding: 'utf8',
    });
    expect(output.split('\n').slice(0, -1)).toEqual(
      entries.map((entry) => {
        const needed = OPTIONAL[entry];
        if (needed === undefined) return `${entry} started`;
        const who = `${PACKAGE}${entry.slice(1)} needs the package ${needed}`;
        return `${entry} PEER_MISSING ${who}, which is not installed. Run: npm install ${needed}`;
      }),
    );
  });
});

describe('the examples of the docs', () => {
  it('compile with the package, in the strictest mode', async () => {
    const examples = EXAMPLES.flatMap((page) =>
      [...projectFile(page).matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code!),
    );
    expect(examples.length).toBeGreaterThanOrEqual(EXAMPLES.length);
    const app = await PackedApp.create(
      examples.map((code, index) => [`src/example-${index}.ts`, code]),
    );
    const compiled = app.compile();
    app.remove();
    expect(compiled).toEqual({ stdout: '', status: 0 });
  });
});

/** Joins a file of the tarball with those that it imports, as a bundler does. Names of the files must not collide. */
function bundled(file: string, done: string[] = []): string {
  if (done.includes(file)) return '';
  done.push(file);
  const isEntry = done.length === 1;
  const text = read(file);
  const others = [...text.matchAll(/^(?:import|export)\s[^;]*?\sfrom '(\.[^']+)';$/gm)];
  const before = others.map(([, other]) => bundled(join(file, '..', other!), done));
  const own = isEntry
    ? text.replaceAll(/ from '[^']+'/g, '')
    : text.replaceAll(/^import\s[^;]*;$|^export \{\};$|^export /gm, '');
  return [...before, own.replace(/^\/\/#.*$/m, '')].join('\n');
}

/** Returns the packages that a file of the tarball imports, directly or through other files. */
function packagesBehind(entry: string): Set<string> {
  const isTypes = entry.endsWith('.d.ts');
  const packages = new Set<string>();
  const queue = [entry.replace('./', '')];
  for (const file of queue) {
    const text = read(file).replaceAll(/^\s*(\/\*\*|\*|\/\/).*$/gm, '');
    for (const [, specifier] of text.matchAll(/\b(?:from |import |import\()['"]([^'"]+)['"]/g)) {
      if (specifier!.startsWith('node:')) continue;
      if (specifier!.startsWith('.')) {
        const next = join(file, '..', specifier!);
        const target = isTypes ? next.replace(/\.js$/, '.d.ts') : next;
        if (!queue.includes(target)) queue.push(target);
      } else packages.add(/^(@[^/]+\/)?[^/]+/.exec(specifier!)![0]);
    }
  }
  return packages;
}
