import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, dirname, join } from 'node:path';

import type { NodeRelease } from '../../lab/node-releases.js';
import { packedPackage, project } from '../support/packed-package.js';
import { projectFile } from '../support/readme.js';
import { OWN_TEST, typeScriptFiles, withoutExtensions } from './app-files.js';
import { type BuiltSetup, errorIn, type Setup, SetupError } from './setup.js';
import { visit } from './visit.js';

const PACKAGE = 'nestjs-websocket-isolation';
const ARCHIVE = 'package.tgz';
const QUIET = ['--no-audit', '--no-fund', '--loglevel=error'];

/** What each builder of the CLI asks its user to install. */
const BUILDERS = {
  swc: ['@swc/cli', '@swc/core'],
  rspack: ['@rspack/core', 'webpack-node-externals', 'tsconfig-paths-webpack-plugin'],
};

/** The packages that the README tells its readers to install, beside this one. */
const readmePackages = (): string[] => {
  const [, names] = /^npm install nestjs-websocket-isolation (.*)$/m.exec(
    projectFile('README.md'),
  )!;
  return names!.split(' ');
};

/** An app in a folder of its own whose packages come from a registry. */
class InstalledApp {
  readonly folder = mkdtempSync(join(tmpdir(), 'installed-app-'));

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    writeFileSync(join(this.folder, path), text);
  }

  /** @throws {SetupError} with the error that the command prints, if it fails */
  run(node: NodeRelease, command: string, ...args: string[]): void {
    const PATH = [join(this.folder, 'node_modules/.bin'), node.bin, process.env['PATH']];
    const { status, stdout, stderr, error } = spawnSync(command, args, {
      cwd: this.folder,
      encoding: 'utf8',
      env: { ...process.env, NODE_OPTIONS: '', CI: '1', PATH: PATH.join(delimiter) },
    });
    if (error) throw error;
    if (status !== 0) throw new SetupError(errorIn(`${stdout}\n${stderr}`));
  }

  async addPackage(): Promise<void> {
    copyFileSync(await packedPackage(), join(this.folder, ARCHIVE));
  }

  built(main: string): BuiltSetup {
    const core = readFileSync(join(this.folder, 'node_modules/@nestjs/core/package.json'), 'utf8');
    return {
      nest: (JSON.parse(core) as { version: string }).version,
      run: (node) => visit(node, this.folder, main),
      remove: () => undefined,
    };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

type Type = 'esm' | 'cjs';

/** The apps of `nest new` that were made so far. Several set-ups use each. */
const generated = new Map<Type, Promise<InstalledApp>>();

export async function removeInstalled(): Promise<void> {
  for (const app of generated.values()) (await app).remove();
  generated.clear();
}

function appOf(type: Type, node: NodeRelease): Promise<InstalledApp> {
  let app = generated.get(type);
  if (!app) generated.set(type, (app = generate(type, node)));
  return app;
}

// The CLI asks whether the app is ESM or CommonJS, and has no option for the answer. This is what it runs then.
async function generate(type: Type, node: NodeRelease): Promise<InstalledApp> {
  const app = new InstalledApp();
  const schematics = join(project, 'node_modules/@angular-devkit/schematics-cli/bin/schematics.js');
  const collection = join(project, 'node_modules/@nestjs/schematics/dist/collection.json');
  const options = ['--name=app', '--directory=.', `--type=${type}`, '--no-dry-run', '--no-debug'];
  app.run(node, process.execPath, schematics, `${collection}:application`, ...options);
  await app.addPackage();
  app.run(node, 'npm', 'install', ...QUIET, `./${ARCHIVE}`, ...readmePackages());
  const tools = Object.values(BUILDERS).flat();
  app.run(node, 'npm', 'install', '--save-dev', ...QUIET, '@types/ws', ...tools);
  const form = type === 'cjs' ? withoutExtensions : (text: string) => text;
  for (const [path, text] of typeScriptFiles(type)) app.write(path, form(text));
  app.write('test/chat.e2e-spec.ts', form(OWN_TEST));
  return app;
}

const KINDS: Readonly<Record<Type, string>> = {
  esm: '`nest new`, ESM',
  cjs: '`nest new`, CommonJS',
};

function builder(type: Type, by: string, args: readonly string[]): Setup {
  return {
    app: KINDS[type],
    by,
    isInTests: false,
    async build(node) {
      const app = await appOf(type, node);
      app.run(node, 'nest', 'build', ...args);
      return app.built('dist/main.js');
    },
  };
}

function ownTests(type: Type, by: string, instead?: string): Setup {
  return {
    app: KINDS[type],
    by,
    isInTests: false,
    ...(instead !== undefined && { instead }),
    async build(node) {
      const app = await appOf(type, node);
      const run = async (release: NodeRelease): Promise<void> => {
        app.run(release, 'npm', 'test');
        app.run(release, 'npm', 'run', 'test:e2e');
      };
      return { ...app.built('dist/main.js'), run };
    },
  };
}

interface Versions {
  readonly nest: string;
  readonly gateways: string;
  readonly around: string;
  readonly beside: Readonly<Record<string, string>>;
}

const LOWEST: Versions = {
  nest: '12.0.1',
  gateways: '12.0.1',
  around: '12.0.0',
  beside: {
    'class-transformer': '0.5.1',
    'class-validator': '0.14.0',
    'reflect-metadata': '0.2.2',
    rxjs: '7.8.1',
    ws: '8.23.0',
  },
};
const NEWEST: Versions = {
  nest: '12',
  gateways: '12',
  around: '12',
  beside: {
    'class-transformer': '0.5',
    'class-validator': '0.15',
    'reflect-metadata': '0.2',
    rxjs: '7',
    ws: '8',
  },
};

function manifestOf({ nest, gateways, around, beside }: Versions): string {
  const dependencies = {
    '@nestjs/common': nest,
    '@nestjs/config': around,
    '@nestjs/core': nest,
    '@nestjs/platform-express': nest,
    '@nestjs/platform-ws': gateways,
    '@nestjs/schedule': around,
    '@nestjs/websockets': gateways,
    ...beside,
    [PACKAGE]: `file:./${ARCHIVE}`,
  };
  const devDependencies = {
    '@types/express': '5',
    '@types/node': '24',
    '@types/ws': '8',
    typescript: '6',
  };
  return JSON.stringify({
    name: 'app',
    private: true,
    type: 'module',
    dependencies,
    devDependencies,
  });
}

const TSCONFIG = JSON.stringify({
  compilerOptions: {
    module: 'nodenext',
    target: 'ES2023',
    lib: ['ES2023', 'ESNext.Disposable'],
    strict: true,
    skipLibCheck: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    types: ['node'],
    rootDir: 'src',
    outDir: 'dist',
  },
  include: ['src'],
});

function versions(
  name: string,
  chosen: Versions,
  install: (app: InstalledApp, node: NodeRelease) => void,
): Setup {
  return {
    app: 'ESM, TypeScript',
    by: name,
    isInTests: false,
    async build(node) {
      const app = new InstalledApp();
      try {
        app.write('package.json', manifestOf(chosen));
        app.write('tsconfig.json', TSCONFIG);
        for (const [path, text] of typeScriptFiles('esm')) app.write(path, text);
        await app.addPackage();
        install(app, node);
        app.run(node, 'tsc');
        return { ...app.built('dist/main.js'), remove: () => app.remove() };
      } catch (error) {
        app.remove();
        throw error;
      }
    },
  };
}

function withNpm(app: InstalledApp, node: NodeRelease): void {
  app.run(node, 'npm', 'install', '--strict-peer-deps', ...QUIET);
}

// pnpm links only what a package declares: an import of anything else fails.
function withPnpm(app: InstalledApp, node: NodeRelease): void {
  const tool = mkdtempSync(join(tmpdir(), 'pnpm-'));
  try {
    writeFileSync(join(tool, 'package.json'), '{ "private": true }');
    app.run(node, 'npm', 'install', '--prefix', tool, ...QUIET, 'pnpm');
    app.write('pnpm-workspace.yaml', 'strictPeerDependencies: true\nautoInstallPeers: false\n');
    const bin = join(tool, 'node_modules/pnpm/bin');
    const script = readdirSync(bin).find((file) => /^pnpm\.[cm]?js$/.test(file))!;
    app.run(node, 'node', join(bin, script), 'install');
  } finally {
    rmSync(tool, { recursive: true, force: true });
  }
}

/** The set-ups whose packages come from a registry. */
export const installed: readonly Setup[] = [
  builder('esm', '`nest build`', []),
  builder('esm', '`nest build --builder swc`', ['--builder', 'swc']),
  builder('esm', '`nest build --builder rspack`', ['--builder', 'rspack']),
  ownTests('esm', 'its tests, with vitest'),
  builder('cjs', '`nest build`', []),
  builder('cjs', '`nest build --builder swc`', ['--builder', 'swc']),
  builder('cjs', '`nest build --builder rspack`', ['--builder', 'rspack']),
  ownTests(
    'cjs',
    'its tests, with jest',
    'Node.js 24.9 or later, where jest can `require()` ES modules. The test that `nest new` generates fails in the same way, on `@nestjs/testing`',
  ),
  versions('npm with `--strict-peer-deps`, the lowest versions of all peers', LOWEST, withNpm),
  versions('npm with `--strict-peer-deps`, the newest versions of all peers', NEWEST, withNpm),
  versions('pnpm with `strictPeerDependencies`, without `autoInstallPeers`', NEWEST, withPnpm),
];
