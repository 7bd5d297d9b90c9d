// `npm run why`: runs every probe on both sides and writes docs/why.md.
import { readFileSync, writeFileSync } from 'node:fs';

import { format, resolveConfig } from 'prettier';

import { pageOf, type Row } from './page.js';
import { probes } from './probes/index.js';
import { runProbe } from './run-probe.js';

const rows: Row[] = [];
for (const [name, probe] of Object.entries(probes)) {
  const [stock, isolated] = await Promise.all([
    runProbe(name, 'stock'),
    runProbe(name, 'isolated'),
  ]);
  rows.push({ probe, stock, isolated });
  console.log(`${probe.event}\n  stock     ${stock}\n  isolated  ${isolated}\n`);
  if (isolated !== probe.good) process.exitCode = 1;
}

const installed = new URL('../node_modules/@nestjs/websockets/package.json', import.meta.url);
const { version } = JSON.parse(readFileSync(installed, 'utf8')) as { version: string };
const page = new URL('../docs/why.md', import.meta.url);
const options = await resolveConfig(page);
writeFileSync(page, await format(pageOf(rows, version), { ...options, parser: 'markdown' }));
