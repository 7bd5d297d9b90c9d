import { candidates } from '../candidates/candidate.js';
import { isBroken, type Ratio } from '../ratios.js';
import type { Series } from '../results.js';
import type { Summary } from '../statistics.js';

type Align = 'left' | 'right';

/** Returns a table with aligned columns for a terminal. */
function table(rows: readonly (readonly string[])[], align: readonly Align[]): string {
  const widths = align.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        align[column] === 'left' ? cell.padEnd(widths[column]!) : cell.padStart(widths[column]!),
      )
      .join('  ')
      .trimEnd();
  return rows.map((row) => `  ${line(row)}`).join('\n');
}

export function titleOf(subject: string): string {
  return candidates.find(({ name }) => name === subject)?.title ?? subject;
}

export function formatted(value: number, digits: number): string {
  return value.toLocaleString('en', {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** Returns the factor against the first subject of the series. */
export function factorOf(summary: Summary, { subjects }: Series): string {
  const [first] = subjects.values();
  return first ? `${formatted(summary.median / first.median, 2)} ×` : '';
}

export function seriesTable(series: Series): string {
  const { metric, subjects } = series;
  const rows = [...subjects].map(([subject, summary]) => [
    titleOf(subject),
    formatted(summary.median, metric.digits),
    `${formatted(summary.lower, metric.digits)} – ${formatted(summary.upper, metric.digits)}`,
    factorOf(summary, series),
  ]);
  const header = ['', metric.unit, 'middle half', ''];
  return `${metric.title}\n${table([header, ...rows], ['left', 'right', 'right', 'right'])}`;
}

/** Returns a table with the ratios of several runs, one column per run. */
export function runsTable(runs: readonly (readonly Ratio[])[]): string {
  const [first = []] = runs;
  const rows = first.map(({ title, against, limit }, row) =>
    [title, against, formatted(limit, 2)].concat(runs.map((ratios) => measuredText(ratios[row]!))),
  );
  const header = ['Measure', 'Against', 'At most', ...runs.map((_, run) => `Run ${run + 1}`)];
  const align = header.map((_, column): Align => (column < 2 ? 'left' : 'right'));
  return `Ratios, run by run\n${table([header, ...rows], align)}`;
}

function measuredText(ratio: Ratio): string {
  if (ratio.measured === undefined) return '–';
  return `${isBroken(ratio) ? '! ' : ''}${formatted(ratio.measured, 2)}`;
}

export function ratioTable(ratios: readonly Ratio[]): string {
  const rows = ratios.map((ratio) => {
    const { title, against, limit, rounds } = ratio;
    const spread = rounds ? `${formatted(rounds.lower, 2)} – ${formatted(rounds.upper, 2)}` : '';
    return [title, against, formatted(limit, 2), measuredText(ratio), spread];
  });
  const header = ['Measure', 'Against', 'At most', 'Measured', 'round by round'];
  return `Ratios\n${table([header, ...rows], ['left', 'left', 'right', 'right', 'right'])}`;
}
