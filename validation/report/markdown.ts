import { environment } from '../../lab/environment.js';
import type { Criterion } from '../criteria.js';
import type { CheckResult, Run } from '../results.js';
import { criteriaOf } from '../validation.js';

/** Returns the report of the last run as Markdown, with a table of all runs if there are several. */
export function markdown(
  runs: readonly Run[],
  chartOf: (check: CheckResult) => string | undefined,
): string {
  const last = runs.at(-1)!;
  return [
    '# Validation report',
    verdict(runs),
    'Written by `npm run validate` from what it measured: a real application in a process of its own for each check, and real `ws` clients. `npm run validate -- --help` says what else it can do.',
    machine(last),
    '## Summary',
    ...last.groups.map(({ title, checks }) => summary(title, checks)),
    ...(runs.length > 1 ? ['## Runs', runTable(runs)] : []),
    ...last.groups.flatMap(({ title, checks }) =>
      [`## ${title}`].concat(checks.flatMap((check) => section(check, chartOf(check)))),
    ),
    '',
  ].join('\n\n');
}

function verdict(runs: readonly Run[]): string {
  const all = runs.flatMap(criteriaOf);
  const held = all.filter(({ holds }) => holds).length;
  const times = runs.length === 1 ? 'one run' : `${runs.length} runs in a row`;
  return held === all.length
    ? `**Everything holds: ${held} of ${all.length} criteria in ${times}.**`
    : `**Not everything holds: ${held} of ${all.length} criteria in ${times}.**`;
}

function machine({ startedAt }: Run): string {
  const { Node, '@nestjs/core': nest, ws, Processor, Memory } = environment();
  return `${startedAt.slice(0, 10)}; Node ${Node}, NestJS ${nest}, ws ${ws}; ${Processor}, ${Memory}.`;
}

function summary(title: string, checks: readonly CheckResult[]): string {
  const rows = checks.map((check) => {
    const held = check.criteria.filter(({ holds }) => holds).length;
    const { peakManagers, peakHeapMb, peakRssMb } = check.history ?? {};
    return [
      check.title,
      check.holds ? '✓' : '✗',
      `${held} of ${check.criteria.length}`,
      ...[peakManagers, peakHeapMb, peakRssMb].map((value) => (value ? value.toFixed(0) : '–')),
      (check.durationMs / 1_000).toFixed(1),
    ];
  });
  const head = [
    title,
    '',
    'Criteria',
    'Most managers',
    'Peak heap, MB',
    'Peak memory, MB',
    'Seconds',
  ];
  return table(head, rows, 3);
}

function runTable(runs: readonly Run[]): string {
  const rows = runs.map((run, index) => {
    const criteria = criteriaOf(run);
    const held = criteria.filter(({ holds }) => holds).length;
    const seconds = (run.durationMs / 1_000).toFixed(1);
    return [String(index + 1), `${held} of ${criteria.length}`, seconds, String(run.seed)];
  });
  return table(['Run', 'Criteria', 'Seconds', 'Seed'], rows, 0);
}

function section(check: CheckResult, chart: string | undefined): string[] {
  const rows = check.criteria.map((criterion) => criterionRow(criterion));
  return [
    `### ${check.title}`,
    check.setUp,
    ...(chart === undefined ? [] : [`![Managers over time](${chart})`]),
    table(['', 'Expected', 'Measured', ''], rows),
  ];
}

function criterionRow({ what, expected, measured, holds }: Criterion): string[] {
  return [what, expected, measured, holds ? '✓' : '**✗**'];
}

/** @param rightFrom the index of the first column that is aligned right, for numbers */
function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  rightFrom = head.length,
): string {
  const rule = head.map((_, column) => (column >= rightFrom ? '--:' : '---'));
  return [head, rule, ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
}
