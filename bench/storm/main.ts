import { eventTitles } from './candidates.js';
import { line, writeReport } from './report.js';
import { readSettings, type StormSettings, USAGE } from './settings.js';
import { storm, type StormResult } from './storm.js';

async function run(settings: StormSettings): Promise<void> {
  const results: StormResult[] = [];
  for (const proxy of settings.proxies) {
    for (const event of settings.events) {
      console.log(`\n${eventTitles[event]}, behind ${proxy}`);
      for (const candidate of settings.candidates) {
        const result = await storm(settings, proxy, event, candidate);
        results.push(result);
        console.log(line(result));
        for (const where of result.whereabouts.slice(0, 20)) console.log(`  not served: ${where}`);
        // After each storm: all of them together take long, and a part of them is a result too.
        if (settings.isReport) await writeReport(settings, results);
      }
    }
  }
}

// Exits, and does not just end: then the proxy is killed with this process.
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(1));

const settings = readSettings(process.argv.slice(2));
if (settings === 'help') console.log(USAGE);
else await run(settings);
