// `npm run setups`: builds an app with the packed package in every way that docs/compatibility.md lists, and runs it on
// every release of Node.js there. It fails where the outcome is another than the page says. `-- --table` writes the
// outcome into the page; other words behind `--` select set-ups by their name.
import { nodeReleases } from '../../lab/node-releases.js';
import { plain, tableOf } from '../support/readme.js';
import { removeInstalled } from './installed.js';
import { type BuiltSetup, outcomeOf } from './setup.js';
import { setups } from './setups.js';
import { type Outcome, PAGE, writeTables } from './table.js';

/** The release that builds: the newest one with long-term support. */
const BUILDER = 2;

/** The first release of each line that Nest 12 supports, and the newest one of the lines that came after it. */
const RELEASES = ['20.19.0', '22.12.0', '24', '26'];

const args = process.argv.slice(2);
const words = args.filter((arg) => arg !== '--table');
const isWriting = args.includes('--table');
const chosen = setups.filter(({ app, by }) => words.every((word) => `${app} ${by}`.includes(word)));

const releases = nodeReleases(RELEASES);
const outcomes: Outcome[] = [];
try {
  for (const setup of chosen) {
    const build = setup.build(releases[BUILDER]!);
    const built: BuiltSetup | undefined = await build.catch(() => undefined);
    const errors: (string | undefined)[] = [];
    for (const release of releases) errors.push(await outcomeOf(build, release));
    built?.remove();
    outcomes.push({ setup, nest: built?.nest ?? '–', errors });
    const lines = errors.map((error, index) => `${releases[index]!.version} ${error ?? 'yes'}`);
    console.log(`${setup.app}, ${setup.by}: Nest ${built?.nest ?? '–'}\n  ${lines.join('\n  ')}`);
  }
} finally {
  await removeInstalled();
}

if (isWriting) await writeTables(outcomes, releases);
else {
  const rows = tableOf(PAGE, 'setups');
  for (const { setup, errors } of outcomes) {
    const row = rows.find(([app, by]) => app === setup.app && by === setup.by);
    const listed = row?.slice(3, -1).map((cell) => plain(cell) === 'yes');
    if (listed?.join() === errors.map((error) => error === undefined).join()) continue;
    console.error(`${setup.app}, ${setup.by}: not as docs/compatibility.md says`);
    process.exitCode = 1;
  }
}
