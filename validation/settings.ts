import { parseArgs } from 'node:util';

import { type Group, groups } from './checks/checks.js';
import type { Fault } from './server/validation.gateway.js';

const FAULTS: readonly Fault[] = ['keep-managers', 'raise-limit'];

export const USAGE = `
npm run validate -- [options]

  --only <names>   these checks only, separated by commas:
${groups.map(({ checks }) => `                   ${checks.map(({ name }) => name).join(', ')}`).join('\n')}
  --runs <number>  so many times in a row (1)
  --seed <number>  for what is chosen at random; printed in the report
  --out <folder>   where validation-report.md, its charts and validation-report.json go (.)
  --plant <fault>  ${FAULTS.join(' or ')}: a fault that the validation has to find
`;

export interface Settings {
  readonly groups: readonly Group[];
  readonly runs: number;
  readonly seed: number;
  readonly out: string;
  readonly fault: Fault | null;
}

/** Reads the command line. Throws for what cannot be. */
export function readSettings(args: readonly string[]): Settings | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string' },
      runs: { type: 'string', default: '1' },
      seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
      out: { type: 'string', default: '.' },
      plant: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  return {
    groups: values.only === undefined ? groups : chosen(values.only.split(',')),
    runs: wholeNumber('runs', values.runs),
    seed: wholeNumber('seed', values.seed),
    out: values.out,
    fault: faultOf(values.plant),
  };
}

function chosen(names: readonly string[]): Group[] {
  const known = groups.flatMap(({ checks }) => checks.map(({ name }) => name));
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Error(`There is no check "${unknown}". There are: ${known.join(', ')}.`);
  }
  return groups
    .map(({ title, checks }) => ({
      title,
      checks: checks.filter(({ name }) => names.includes(name)),
    }))
    .filter(({ checks }) => checks.length > 0);
}

function wholeNumber(name: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new Error(`--${name} has to be a whole number from 1 up, not "${text}".`);
  }
  return value;
}

function faultOf(name: string | undefined): Fault | null {
  if (name === undefined) return null;
  const fault = FAULTS.find((known) => known === name);
  if (!fault) throw new Error(`There is no fault "${name}". There are: ${FAULTS.join(', ')}.`);
  return fault;
}
