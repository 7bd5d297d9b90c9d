// `npm run parity`: runs every scenario in every form and prints the differences. Arguments after `--`: words of the
// titles to run; `--all` prints all transcripts; `--json` prints the verdicts for the spec; `--table` writes the table
// of docs/compatibility.md instead; `--elsewhere` is for other versions of Nest than those installed in this project.
import { readFileSync, writeFileSync } from 'node:fs';

import { format, resolveConfig } from 'prettier';

import { differences } from './differences.js';
import { judge, type Verdict } from './judge.js';
import type { Form } from './scenario.js';
import { scenarios } from './scenarios/index.js';
import { tableOf } from './table.js';

const [flags, words] = [process.argv.slice(2), process.argv.slice(2)].map((args, index) =>
  args.filter((arg) => arg.startsWith('--') === (index === 0)),
) as [string[], string[]];
if (flags.includes('--table')) {
  const page = new URL('../../docs/compatibility.md', import.meta.url);
  const text = readFileSync(page, 'utf8').replace(
    /(<!-- parity -->\n)[^]*(\n<!-- \/parity -->)/,
    (_all, before: string, after: string) => `${before}\n${tableOf(differences)}\n${after}`,
  );
  const options = await resolveConfig(page);
  writeFileSync(page, await format(text, { ...options, parser: 'markdown' }));
  process.exit();
}
const wanted = scenarios.filter(({ title }) => words.every((word) => title.includes(word)));
const verdicts: Verdict[] = [];
for (const scenario of wanted) {
  const verdict = await judge(scenario, !flags.includes('--elsewhere'));
  verdicts.push(verdict);
  if (!flags.includes('--json')) print(verdict);
}
if (flags.includes('--json')) {
  process.stdout.write(JSON.stringify(verdicts.map(({ lanes: _lanes, ...rest }) => rest)));
} else {
  const bad = verdicts.filter(({ unexpected, missing }) => unexpected.length + missing.length > 0);
  console.log(`\n${verdicts.length} scenarios, ${bad.length} with unlisted differences`);
  if (bad.length > 0) process.exitCode = 1;
}

function print({ scenario, unexpected, expected, missing, lanes }: Verdict): void {
  console.log(`${unexpected.length + missing.length === 0 ? '=' : '≠'} ${scenario}`);
  for (const what of expected) console.log(`    as listed: ${what}`);
  for (const what of missing) console.log(`    does not differ as listed: ${what}`);
  // A difference that several forms share is printed once.
  const places = new Map<string, Form[]>();
  for (const { form, lane, stock, here } of unexpected) {
    const lines = [...stock.map((line) => `- ${line}`), ...here.map((line) => `+ ${line}`)];
    const text = [`${lane}:`, ...lines].join('\n      ');
    places.set(text, [...(places.get(text) ?? []), form]);
  }
  for (const [text, forms] of places) {
    console.log(`    ${[...new Set(forms)].join(' and ')}, ${text}`);
  }
  if (!flags.includes('--all')) return;
  for (const [form, observed] of Object.entries(lanes)) {
    for (const [lane, lines] of Object.entries(observed)) {
      console.log(`    ${form}, ${lane}:\n${lines.map((line) => `      ${line}`).join('\n')}`);
    }
  }
}
