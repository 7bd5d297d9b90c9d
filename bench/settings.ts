import { parseArgs } from 'node:util';

import { type Candidate, candidateNamed, candidates } from './candidates/candidate.js';

/** Which measures and candidates run, how often and for how long. */
export interface Settings {
  readonly measures: readonly string[];
  readonly candidates: readonly Candidate[];
  readonly rounds: number;
  /** How often the measures are repeated, to see whether the ratios hold. */
  readonly runs: number;
  readonly isQuick: boolean;
  /** The numbers of idle connections whose memory is measured. */
  readonly idle: readonly number[];
  readonly json: string | undefined;
  readonly isReport: boolean;
  readonly profile: Candidate | undefined;
}

export const USAGE = `npm run bench -- [measure ...] [options]

  measure            echo releases crowd deflate latency connect refusals memory boot
                     calls streams fan-out topics managers heartbeat delivery slots scaling;
                     default: all of them. code: the cost of a message and of a connection without the
                     operating system; runs only when named
  --only <names>     candidates, separated by commas; default: all
  --rounds <n>       rounds of each measure, default 9, with --quick 3
  --runs <n>         repeats the measures that have promised ratios, and prints the ratios of
                     all runs; exits with status 1 when a ratio was above its limit (marked !)
  --idle <numbers>   numbers of idle connections, default 10000 and 50000, with --quick
                     2000
  --quick            short rounds: to check that the benchmark works, not to compare
  --json <file>      writes every value of every round
  --report           writes docs/benchmarks.md, its chart, and what a core carries into
                     docs/guide/scaling.md
  --profile <name>   runs a candidate alone and prints where its time, or its memory, goes;
                     writes .cpuprofile files to dist-bench/profiles

Candidates: ${candidates.map(({ name }) => name).join(' ')}`;

/** @throws when an option or a candidate does not exist */
export function readSettings(args: string[]): Settings | 'help' {
  const { values, positionals } = parseArgs({
    args,
    allowPositionals: true,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string' },
      runs: { type: 'string', default: '1' },
      idle: { type: 'string' },
      json: { type: 'string' },
      profile: { type: 'string' },
      quick: { type: 'boolean', default: false },
      report: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return 'help';
  const profile = values.profile === undefined ? undefined : candidateNamed(values.profile);
  const few = values.quick || profile !== undefined;
  return {
    measures: positionals,
    candidates: profile ? [profile] : candidatesNamed(values.only),
    rounds: Number(values.rounds ?? (few ? 3 : 9)),
    runs: Number(values.runs),
    isQuick: values.quick,
    idle: (values.idle ?? (values.quick ? '2000' : '10000,50000')).split(',').map(Number),
    json: values.json,
    isReport: values.report,
    profile,
  };
}

function candidatesNamed(names: string | undefined): readonly Candidate[] {
  return names === undefined ? candidates : names.split(',').map(candidateNamed);
}
