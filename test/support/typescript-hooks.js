// Module hooks, with the same settings as jest.config.js: they load TypeScript sources without a build, and resolve the
// package by its own name.
import { access, readFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';

import { transform } from '@swc/core';

import jestConfig from '../../jest.config.js';

const [, swcOptions] = jestConfig.transform['^.+\\.ts$'];
// Relative imports such as `./x.js`, and the main file of a process.
const OWN_FILE = /^(?:\.|file:).*(?<!\/node_modules\/.*)\.js$/;
const OWN_NAME = /^nestjs-websocket-isolation(?:\/(\w+))?$/;

const SOURCE = new URL('../../src/', import.meta.url).href;
// The unpacked package that `npm run test:packed` tests in place of the source.
const packed = process.env.TEST_PACKAGE && `${pathToFileURL(process.env.TEST_PACKAGE).href}/dist/`;

export async function resolve(specifier, context, next) {
  const own = OWN_NAME.exec(specifier);
  if (own && packed) {
    const path = own[1] ? `${own[1]}/index.js` : 'index.js';
    return { url: packed + path, shortCircuit: true };
  }
  if (own) {
    const path = own[1] ? `src/${own[1]}/index.ts` : 'src/index.ts';
    const url = new URL(`../../${path}`, import.meta.url);
    // Without the sources, this resolves to the installed package.
    return (await exists(url)) ? { url: url.href, shortCircuit: true } : next(specifier, context);
  }
  if (OWN_FILE.test(specifier)) {
    const url = new URL(`${specifier.slice(0, -3)}.ts`, context.parentURL);
    if (packed && url.href.startsWith(SOURCE)) {
      const path = `${url.href.slice(SOURCE.length, -3)}.js`;
      return { url: packed + path, shortCircuit: true };
    }
    if (await exists(url)) return { url: url.href, shortCircuit: true };
  }
  return next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const filename = fileURLToPath(url);
  const source = await readFile(filename, 'utf8');
  const { code } = await transform(source, { ...swcOptions, filename, sourceMaps: 'inline' });
  return { format: 'module', source: code, shortCircuit: true };
}

async function exists(url) {
  try {
    await access(url);
    return true;
  } catch {
    return false;
  }
}
