import { writeFile } from 'node:fs/promises';

import { type Candidate, candidates } from './candidates/candidate.js';
import { boot } from './measures/boot.js';
import { calls } from './measures/calls.js';
import { code } from './measures/code.js';
import { connect } from './measures/connect.js';
import { crowd } from './measures/crowd.js';
import { deflate } from './measures/deflate.js';
import { delivery } from './measures/delivery.js';
import { echo } from './measures/echo.js';
import { fanOut } from './measures/fan-out.js';
import { heartbeat } from './measures/heartbeat.js';
import { latency } from './measures/latency.js';
import { managers } from './measures/managers.js';
import { type Bench, type Measure } from './measures/measure.js';
import { memory } from './measures/memory.js';
import { refusals } from './measures/refusals.js';
import { releases } from './measures/releases.js';
import { scaling } from './measures/scaling.js';
import { slots } from './measures/slots.js';
import { streams } from './measures/streams.js';
import { topics } from './measures/topics.js';
import {
  ArrivalWays,
  AskWays,
  BootWays,
  DeliveryWays,
  ItemWays,
  liveManagers,
  ManagerCounts,
  MembershipWays,
  RequestWays,
  ScaleWays,
  SlotCycleWays,
  SlotWays,
  StreamMemory,
} from './metrics.js';
import { Profiles } from './profile/profiles.js';
import { isBroken, type Ratio, ratiosOf } from './ratios.js';
import { environment } from '../lab/environment.js';
import { writeReport } from './report/report.js';
import { ratioTable, runsTable, seriesTable } from './report/terminal.js';
import { Results } from './results.js';
import { readSettings, type Settings, USAGE } from './settings.js';

const measures: readonly Measure[] = [
  echo,
  releases,
  crowd,
  deflate,
  latency,
  connect,
  refusals,
  code,
  memory,
  boot,
  calls,
  streams,
  fanOut,
  topics,
  managers,
  heartbeat,
  delivery,
  slots,
  scaling,
];

/** The subjects that values belong to, in the order of the tables. */
const SUBJECTS = [
  ...candidates.map(({ name }) => name),
  ...ArrivalWays,
  ...ManagerCounts.map(liveManagers),
  ...DeliveryWays,
  ...SlotWays,
  ...SlotCycleWays,
  ...ScaleWays,
  ...MembershipWays,
  ...RequestWays,
  ...AskWays,
  ...ItemWays,
  ...StreamMemory,
  ...BootWays,
];

/** The measures that have promised ratios. */
const PROMISED: readonly Measure[] = [
  echo,
  releases,
  crowd,
  deflate,
  latency,
  connect,
  refusals,
  memory,
  boot,
  calls,
  streams,
  fanOut,
  topics,
  managers,
  delivery,
  slots,
];

function chosen({ measures: names, runs }: Settings): readonly Measure[] {
  const known = measures.map(({ name }) => name);
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new Error(`There is no measure "${unknown}". There are: ${known.join(', ')}.`);
  }
  if (names.length > 0) return measures.filter(({ name }) => names.includes(name));
  // `code` is for finding hot spots, not for comparing candidates: it runs only when named.
  return runs > 1 ? PROMISED : measures.filter((measure) => measure !== code);
}

function showProgress(text: string): void {
  if (process.stderr.isTTY) process.stderr.write(`\r\u001B[K${text}`);
}

async function measureOnce(settings: Settings, profiles?: Profiles): Promise<Results> {
  const results = new Results();
  const bench: Bench = { settings, results, profiles, progress: showProgress };
  for (const measure of chosen(settings)) {
    await measure.run(bench);
    showProgress('');
  }
  return results;
}

async function run(settings: Settings): Promise<void> {
  const results = await measureOnce(settings);
  const series = results.all(SUBJECTS);
  for (const one of series) console.log(`${seriesTable(one)}\n`);
  const ratios = ratiosOf(results);
  console.log(ratioTable(ratios));
  const values = series.map(({ metric, subjects }) => ({
    ...metric,
    subjects: Object.fromEntries(subjects),
  }));
  await writeJson(settings, { series: values, ratios });
  if (settings.isReport) await writeReport({ settings, series, ratios });
}

async function profile(settings: Settings, { name }: Candidate): Promise<void> {
  const profiles = new Profiles();
  const results = await measureOnce(settings, profiles);
  for (const one of results.all(SUBJECTS)) console.log(`${seriesTable(one)}\n`);
  console.log(await profiles.finish(name));
}

async function repeat(settings: Settings): Promise<void> {
  const runs: Ratio[][] = [];
  while (runs.length < settings.runs) {
    runs.push(ratiosOf(await measureOnce(settings)));
    console.log(`${runsTable(runs)}\n`);
  }
  await writeJson(settings, { runs });
  if (runs.flat().some(isBroken)) process.exitCode = 1;
}

async function writeJson(settings: Settings, values: object): Promise<void> {
  if (settings.json === undefined) return;
  const content = { environment: environment(), settings, ...values };
  await writeFile(settings.json, `${JSON.stringify(content, undefined, 2)}\n`);
}

const settings = readSettings(process.argv.slice(2));
if (settings === 'help') console.log(USAGE);
else if (settings.profile) await profile(settings, settings.profile);
else if (settings.runs > 1) await repeat(settings);
else await run(settings);
