// `npm run parity:versions`: runs the comparison with stock Nest on the packed package and on the lowest and the
// newest published Nest 12. Arguments after `--`: versions of core and common to run instead (`12.2.0`).
import { execFileSync, spawnSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { packedPackage, project } from '../support/packed-package.js';

const LOWEST = '12.0.1';
const NEWEST = '12';
/** Packages that are released together with core. `websockets` and `platform-ws` are not released in every version. */
const WITH_CORE = [
  'core',
  'common',
  'platform-express',
  'platform-fastify',
  'microservices',
  'testing',
];
const GATEWAYS = ['websockets', 'platform-ws'];
/** Other packages that the scenarios and the package need, in the installed versions. */
const BESIDE = ['ws', 'rxjs', 'reflect-metadata', 'class-validator', 'class-transformer'];
/** Packages that are needed to run the scenarios. */
const TOOLS = ['@swc/core', 'prettier'];

const asked = process.argv.slice(2);
const archive = await packedPackage();
for (const version of asked.length > 0 ? asked : [LOWEST, NEWEST]) {
  const folder = mkdtempSync(join(tmpdir(), 'parity-'));
  try {
    install(folder, version);
    const [core, gateways] = ['core', 'websockets'].map((name) =>
      installed(folder, `@nestjs/${name}`),
    );
    console.log(`\nNest ${core}, gateways ${gateways}`);
    if (!isEqual(folder)) process.exitCode = 1;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function install(folder: string, version: string): void {
  // With the lowest Nest, the lowest version of the packages around it. Otherwise the newest one.
  const around = version === LOWEST ? '12.0.0' : '12';
  const dependencies = {
    ...Object.fromEntries(WITH_CORE.map((name) => [`@nestjs/${name}`, version])),
    ...Object.fromEntries(
      GATEWAYS.map((name) => [`@nestjs/${name}`, version === LOWEST ? LOWEST : NEWEST]),
    ),
    '@nestjs/schedule': around,
    '@nestjs/config': around,
    ...Object.fromEntries(BESIDE.map((name) => [name, installed(project, name)])),
    'nestjs-websocket-isolation': `file:${archive}`,
  };
  const manifest = { name: 'parity', private: true, type: 'module', dependencies };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  for (const tool of TOOLS) {
    const link = join(folder, 'node_modules', tool);
    mkdirSync(dirname(link), { recursive: true });
    symlinkSync(join(project, 'node_modules', tool), link);
  }
  for (const part of ['test/parity', 'test/support', 'jest.config.js']) {
    cpSync(join(project, part), join(folder, part), { recursive: true });
  }
}

function installed(folder: string, name: string): string {
  const manifest = readFileSync(join(folder, 'node_modules', name, 'package.json'), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}

function isEqual(folder: string): boolean {
  const hooks = ['./test/support/register-typescript.js', 'reflect-metadata'];
  const args = [
    ...hooks.flatMap((hook) => ['--import', hook]),
    'test/parity/main.ts',
    '--elsewhere',
  ];
  const { status, stdout, stderr, error, signal } = spawnSync(process.execPath, args, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  // Differences as listed are not printed.
  const lines = stdout.split('\n').filter((line) => !/^=|as listed:/.test(line));
  console.log(`${lines.join('\n')}\n${stderr}`.trim());
  if (status !== 0)
    console.log(`exited with ${error?.message ?? signal ?? status}, after:\n${stdout.slice(-500)}`);
  return status === 0;
}
