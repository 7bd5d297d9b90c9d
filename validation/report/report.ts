import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { format, resolveConfig } from 'prettier';

import type { CheckResult, Run } from '../results.js';
import { stepChart } from '../../lab/chart.js';
import { markdown } from './markdown.js';

const NAME = 'validation-report';
const LIMIT = { value: 20, name: 'limit of a user' };

/**
 * Writes the report, its charts, and its data as JSON.
 *
 * @returns the path of the report
 */
export async function writeReport(folder: string, runs: readonly Run[]): Promise<string> {
  const file = join(folder, `${NAME}.md`);
  await mkdir(join(folder, NAME), { recursive: true });
  for (const { checks } of runs.at(-1)!.groups) {
    for (const check of checks) {
      const chart = chartOf(check);
      if (chart) await writeFile(join(folder, chart.path), chart.svg);
    }
  }
  const text = markdown(runs, (check) => chartOf(check)?.path);
  const style = await resolveConfig(file);
  await writeFile(file, await format(text, { ...style, parser: 'markdown' }));
  await writeFile(join(folder, `${NAME}.json`), `${JSON.stringify({ runs }, undefined, 2)}\n`);
  return file;
}

// User ids begin with the name of the check. In checks with several users, the rest says what each user does.
function chartOf({ name, title, history }: CheckResult): { path: string; svg: string } | undefined {
  const users = Object.entries(history?.managers ?? {});
  if (!history || users.length === 0) return undefined;
  const series = users.map(([user, steps]) => ({ name: user.replace(`${name}-`, ''), steps }));
  const { durationMs } = history;
  const chart = { title: `${title}: managers over time`, series, durationMs, limit: LIMIT };
  return { path: `${NAME}/${name}.svg`, svg: stepChart(chart) };
}
