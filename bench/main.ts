import { writeFile } from 'node:fs/promises';

import { candidates } from './candidates/candidate.js';
import { code } from './measures/code.js';
import { connect } from './measures/connect.js';
import { delivery } from './measures/delivery.js';
import { echo } from './measures/echo.js';
import { fanOut } from './measures/fan-out.js';
import { heartbeat } from './measures/heartbeat.js';
import { latency } from './measures/latency.js';
import { managers } from './measures/managers.js';
import { type Bench, type Measure } from './measures/measure.js';
import { memory } from './measures/memory.js';
import { slots } from './measures/slots.js';
import { DeliveryWays, liveManagers, ManagerCounts, SlotWays } from './metrics.js';
import { Profiles } from './profile/profiles.js';
import { ratiosOf } from './ratios.js';
import { environment } from './report/environment.js';
import { writeReport } from './report/report.js';
import { ratioTable, seriesTable } from './report/terminal.js';
import { Results } from './results.js';
import { readSettings, type Settings, USAGE } from './settings.js';

const measures: readonly Measure[] = [
  echo,
  latency,
  connect,
  code,
  memory,
  fanOut,
  managers,
  heartbeat,
  delivery,
  slots,
];

/** Whom or what values belong to, in the order of the tables. */
const SUBJECTS = [
  ...candidates.map(({ name }) => name),
  ...ManagerCounts.map(liveManagers),
  ...DeliveryWays,
  ...SlotWays,
];

function chosen(names: readonly string[]): readonly Measure[] {
  const known = measures.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Error(`There is no measure "${unknown}". There are: ${known.join(', ')}.`);
  }
  return names.length === 0 ? measures : measures.filter(({ name }) => names.includes(name));
}

function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}

async function run(settings: Settings): Promise<void> {
  const results = new Results();
  const profiles = settings.profile && new Profiles();
  const bench: Bench = { settings, results, profiles, progress: showProgress };
  for (const measure of chosen(settings.measures)) {
    await measure.run(bench);
    showProgress('');
  }
  const series = results.all(SUBJECTS);
  for (const one of series) console.log(`${seriesTable(one)}\n`);
  if (settings.profile && profiles) {
    console.log(await profiles.finish(settings.profile.name));
    return;
  }
  const ratios = ratiosOf(results, settings.idle[0]!);
  console.log(ratioTable(ratios));
  if (settings.json !== undefined) {
    const values = series.map(({ metric, subjects }) => ({
      ...metric,
      subjects: Object.fromEntries(subjects),
    }));
    const content = { environment: environment(), settings, series: values, ratios };
    await writeFile(settings.json, `${JSON.stringify(content, undefined, 2)}\n`);
  }
  if (settings.isReport) await writeReport({ settings, series, ratios });
}

const settings = readSettings(process.argv.slice(2));
if (settings === 'help') console.log(USAGE);
else await run(settings);
