// Prints the size of each entry point together with all files of this package that it loads, minified and compressed,
// and the other packages that it imports. Run the build first. `--json` prints JSON. An argument names the folder of
// the package; the default is this project.
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync } from 'node:zlib';

import { minifySync } from '@swc/core';

const given = process.argv.slice(2).find((argument) => !argument.startsWith('--'));
const folder = given ?? fileURLToPath(new URL('..', import.meta.url));
const manifest = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
const IMPORT =
  /^(?:import|export)\s(?:[^'";]*?\sfrom\s)?['"]([^'"]+)['"]|\bimport\(['"]([^'"]+)['"]\)/gm;

const rows = Object.entries(manifest.exports)
  .filter(([, target]) => typeof target === 'object')
  .map(([name, { default: entry }]) => measure(name, entry));
if (process.argv.includes('--json')) console.log(JSON.stringify(Object.fromEntries(rows)));
else console.table(Object.fromEntries(rows));

function measure(name, entry) {
  const { files, packages } = reach(join(folder, entry));
  const code = files.map((file) => readFileSync(file, 'utf8'));
  const minified = code.map((text) => minifySync(text, { module: true }).code).join('\n');
  return [
    name,
    {
      files: files.length,
      minified: kilobytes(Buffer.byteLength(minified)),
      gzip: kilobytes(gzipSync(minified, { level: 9 }).length),
      packages: [...packages].join(' '),
    },
  ];
}

function kilobytes(bytes) {
  return `${(bytes / 1000).toFixed(1)} kB`;
}

// Returns the files and packages that are loaded together with a file.
function reach(entry) {
  const files = [entry];
  const packages = new Set();
  for (const file of files) {
    for (const [, fixed, dynamic] of readFileSync(file, 'utf8').matchAll(IMPORT)) {
      const specifier = fixed ?? dynamic;
      if (specifier.startsWith('node:')) continue;
      if (!specifier.startsWith('.')) packages.add(packageOf(specifier));
      else if (!files.includes(join(dirname(file), specifier))) {
        files.push(join(dirname(file), specifier));
      }
    }
  }
  return { files, packages };
}

function packageOf(specifier) {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
