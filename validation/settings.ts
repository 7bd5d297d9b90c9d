import { parseArgs } from 'node:util';

import { type Group, groups } from './checks/checks.js';
import type { Fault } from './server/validation.gateway.js';

const FAULTS: readonly Fault[] = ['keep-managers', 'raise-limit'];

export const USAGE = `
npm run validate -- [options]

  --only <names>   runs these checks only, separated by commas:
${groups.map(({ checks }) => `                   ${checks.map(({ name }) => name).join(', ')}`).join('\n')}
  --runs <number>  number of runs in a row (default 1)
  --seed <number>  seed of the random choices; the report contains it
  --out <folder>   folder for validation-report.md, its charts and validation-report.json (default .)
  --plant <fault>  ${FAULTS.join(' or ')}: plants a fault that the validation must find
`;

export interface Settings {
  readonly groups: readonly Group[];
  readonly runs: number;
  readonly seed: number;
  readonly out: string;
  readonly fault: Fault | null;
}

/** Reads the command line. @throws for an unknown check or fault, or an invalid number */
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
