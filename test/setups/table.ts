import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { format, resolveConfig } from 'prettier';

import type { NodeRelease } from '../../lab/node-releases.js';
import { project } from '../support/packed-package.js';
import { tableOf } from '../support/readme.js';
import type { Setup } from './setup.js';
import { setups } from './setups.js';

export const PAGE = 'docs/compatibility.md';

/** What became of a set-up: for each release, in order, `undefined` or the error. */
export interface Outcome {
  readonly setup: Setup;
  /** The version of `@nestjs/core`; `–` if nothing was built. */
  readonly nest: string;
  readonly errors: readonly (string | undefined)[];
}

/** Writes the outcomes into the two tables of the page: where set-ups work, and the error where one does not. */
export async function writeTables(
  outcomes: readonly Outcome[],
  releases: readonly NodeRelease[],
): Promise<void> {
  const path = join(project, PAGE);
  const working = table(
    ['App', 'Built by, tested by', 'Nest', ...releases.map(({ version }) => version), '`npm test`'],
    merged(
      'setups',
      outcomes,
      outcomes.map(({ setup, nest, errors }) => [
        setup.app,
        setup.by,
        nest,
        ...errors.map((error) => (error === undefined ? 'yes' : 'no')),
        setup.isInTests ? 'yes' : '–',
      ]),
    ),
  );
  const failing = table(
    ['App', 'Built by, tested by', 'Node.js', 'Error', 'Instead'],
    merged(
      'not-working',
      outcomes,
      outcomes.flatMap((outcome) => failuresOf(outcome, releases)),
    ),
  );
  let page = readFileSync(path, 'utf8');
  page = between(page, 'setups', working);
  page = between(page, 'not-working', failing);
  writeFileSync(path, await format(page, { ...(await resolveConfig(path)), filepath: path }));
}

function failuresOf({ setup, errors }: Outcome, releases: readonly NodeRelease[]): string[][] {
  const all = [...new Set(errors)].filter((error) => error !== undefined);
  return all.map((error) => [
    setup.app,
    setup.by,
    releases
      .filter((_release, index) => errors[index] === error)
      .map(({ version }) => version)
      .join(', '),
    `\`${error.replaceAll('`', "'")}\``,
    setup.instead ?? '',
  ]);
}

// The rows of the page whose set-ups were not run now stay, if the set-ups still exist.
function merged(
  marker: string,
  outcomes: readonly Outcome[],
  rows: readonly (readonly string[])[],
): (readonly string[])[] {
  const listed = tableOf(PAGE, marker);
  return setups.flatMap((setup) => {
    const wasRun = outcomes.some((outcome) => outcome.setup === setup);
    return (wasRun ? rows : listed).filter(([app, by]) => app === setup.app && by === setup.by);
  });
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  return [line(head), line(head.map(() => '---')), ...rows.map(line)].join('\n');
}

function line(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}

function between(page: string, marker: string, text: string): string {
  const [start, end] = [`<!-- ${marker} -->`, `<!-- /${marker} -->`];
  const [from, to] = [page.indexOf(start), page.indexOf(end)];
  if (from === -1 || to === -1) throw new Error(`${PAGE} has no place for the table "${marker}"`);
  return `${page.slice(0, from + start.length)}\n\n${text}\n\n${page.slice(to)}`;
}
