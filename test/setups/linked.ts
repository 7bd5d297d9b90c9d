import { PackedApp } from '../support/packed-app.js';
import { projectFile } from '../support/readme.js';
import { javaScript, typeScriptFiles } from './app-files.js';
import { type BuiltSetup, errorIn, type Setup, SetupError } from './setup.js';
import { visit } from './visit.js';

type CompilerOptions = Readonly<Record<string, unknown>>;

const nest = (): string =>
  (JSON.parse(projectFile('node_modules/@nestjs/core/package.json')) as { version: string })
    .version;

function built(app: PackedApp, main: string): BuiltSetup {
  return {
    nest: nest(),
    run: (node) => visit(node, app.folder, main),
    remove: () => app.remove(),
  };
}

/** An app whose TypeScript is compiled by `tsc`, with the packed package and the packages of this project. */
function typeScript(
  type: 'esm' | 'cjs',
  by: string,
  compilerOptions: CompilerOptions,
  instead?: string,
): Setup {
  return {
    app: type === 'esm' ? 'ESM, TypeScript' : 'CommonJS, TypeScript',
    by,
    isInTests: true,
    ...(instead !== undefined && { instead }),
    async build() {
      // The CLI sets `skipLibCheck`. Elsewhere in the tests the types of this package are checked without it.
      const options = { skipLibCheck: true, ...compilerOptions };
      const app = await PackedApp.create(typeScriptFiles(type), options);
      if (type === 'cjs') app.write('package.json', '{ "name": "app", "private": true }');
      const { stdout, status } = app.compile();
      if (status === 0) return built(app, 'dist/main.js');
      app.remove();
      throw new SetupError(errorIn(stdout));
    },
  };
}

function plainJavaScript(app: string, by: keyof typeof javaScript, main: string): Setup {
  return {
    app,
    by: `\`${by}\``,
    isInTests: true,
    build: async () => built(await PackedApp.create([[main, javaScript[by]]]), main),
  };
}

const bundler = { moduleResolution: 'bundler' };

/** The set-ups that need nothing but this project. */
export const linked: readonly Setup[] = [
  typeScript('esm', '`tsc`: `module: nodenext`, as `nest new` writes it', { module: 'nodenext' }),
  typeScript('esm', '`tsc`: `module: esnext`, `moduleResolution: bundler`', {
    module: 'esnext',
    ...bundler,
  }),
  typeScript('cjs', '`tsc`: `module: nodenext`, as `nest new` writes it', { module: 'nodenext' }),
  typeScript('cjs', '`tsc`: `module: node20`', { module: 'node20' }),
  typeScript('cjs', '`tsc`: `module: commonjs`, `moduleResolution: bundler`', {
    module: 'commonjs',
    ...bundler,
  }),
  typeScript(
    'cjs',
    '`tsc`: `module: node16`',
    { module: 'node16' },
    '`module: nodenext`: in the mode `node16` TypeScript does not know that Node.js can `require()` ES modules',
  ),
  typeScript(
    'cjs',
    '`tsc`: `module: commonjs`, `moduleResolution: node10`',
    { module: 'commonjs', moduleResolution: 'node10', ignoreDeprecations: '6.0' },
    '`module: nodenext`: the mode `node10` does not read the `exports` of packages, and finds the main entry point only',
  ),
  plainJavaScript('ESM, JavaScript', 'import', 'main.mjs'),
  plainJavaScript('CommonJS, JavaScript', 'require', 'main.cjs'),
  plainJavaScript('CommonJS, JavaScript', 'import()', 'main.cjs'),
];
