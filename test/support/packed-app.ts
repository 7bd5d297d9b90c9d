import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { packedPackage, project } from './packed-package.js';

export const PACKAGE = 'nestjs-websocket-isolation';

const TSCONFIG = {
  compilerOptions: {
    target: 'ES2023',
    lib: ['ES2023', 'ESNext.Disposable'],
    module: 'nodenext',
    strict: true,
    noUncheckedIndexedAccess: true,
    exactOptionalPropertyTypes: true,
    experimentalDecorators: true,
    emitDecoratorMetadata: true,
    skipLibCheck: false,
    types: ['node'],
    rootDir: 'src',
    outDir: 'dist',
  },
  include: ['src'],
};

/** An empty strict ESM app with the packed package, and the installed peers of this project. */
export class PackedApp {
  private constructor(readonly folder: string) {}

  /** @param compilerOptions override the strictest options */
  static async create(
    files: Iterable<readonly [path: string, text: string]>,
    compilerOptions: Readonly<Record<string, unknown>> = {},
  ): Promise<PackedApp> {
    const archive = await packedPackage();
    const app = new PackedApp(mkdtempSync(join(tmpdir(), 'packed-app-')));
    const own = join(app.folder, 'node_modules', PACKAGE);
    mkdirSync(own, { recursive: true });
    execFileSync('tar', ['xzf', archive, '-C', own, '--strip-components=1']);
    linkPackages(join(project, 'node_modules'), join(app.folder, 'node_modules'));
    app.write('package.json', JSON.stringify({ name: 'app', type: 'module', private: true }));
    const tsconfig = {
      ...TSCONFIG,
      compilerOptions: { ...TSCONFIG.compilerOptions, ...compilerOptions },
    };
    app.write('tsconfig.json', JSON.stringify(tsconfig));
    for (const [path, text] of files) app.write(path, text);
    return app;
  }

  write(path: string, text: string): void {
    mkdirSync(dirname(join(this.folder, path)), { recursive: true });
    writeFileSync(join(this.folder, path), text);
  }

  /** Returns the output of the compiler. It is empty if there are no errors. */
  compile(): { stdout: string; status: number | null } {
    const tsc = join(project, 'node_modules/typescript/bin/tsc');
    const { stdout, status } = spawnSync(process.execPath, [tsc], {
      cwd: this.folder,
      encoding: 'utf8',
    });
    return { stdout, status };
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Links every package of a folder into another folder, except packages that exist there already. */
export function linkPackages(from: string, to: string): void {
  const link = (name: string): void => {
    if (!existsSync(join(to, name))) symlinkSync(join(from, name), join(to, name));
  };
  for (const name of readdirSync(from)) {
    if (name.startsWith('.')) continue;
    if (!name.startsWith('@')) link(name);
    else {
      mkdirSync(join(to, name), { recursive: true });
      for (const scoped of readdirSync(join(from, name))) link(join(name, scoped));
    }
  }
}
