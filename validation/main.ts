import { Progress } from './progress.js';
import { writeReport } from './report/report.js';
import { readSettings, type Settings, USAGE } from './settings.js';
import type { Run } from './results.js';
import { criteriaOf, validate } from './validation.js';

async function main({ groups, runs, seed, out, fault }: Settings): Promise<void> {
  const progress = new Progress(console.log);
  const done: Run[] = [];
  for (let number = 1; number <= runs; number += 1) {
    if (runs > 1) progress.group(`Run ${number} of ${runs}`);
    done.push(await validate(groups, seed + number - 1, fault, progress));
  }
  const file = await writeReport(out, done);
  const criteria = done.flatMap(criteriaOf);
  const failed = criteria.filter(({ holds }) => !holds).length;
  console.log(`\n${criteria.length - failed} of ${criteria.length} criteria hold.`);
  console.log(`The report is in ${file}.`);
  process.exitCode = failed === 0 ? 0 : 1;
}

const settings = readSettings(process.argv.slice(2));
if (settings === 'help') console.log(USAGE);
else await main(settings);
