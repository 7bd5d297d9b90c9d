import { describe, expect, it } from '@jest/globals';

import { linked } from '../setups/linked.js';
import { thisRelease } from '../../lab/node-releases.js';
import { outcomeOf } from '../setups/setup.js';
import { setups } from '../setups/setups.js';
import { PAGE } from '../setups/table.js';
import { plain, tableOf } from '../support/readme.js';

const rows = tableOf(PAGE, 'setups');
const failures = tableOf(PAGE, 'not-working');

describe('the set-ups in docs/compatibility.md', () => {
  it('are all that `npm run setups` runs, with an outcome for each release of Node.js', () => {
    expect(rows.map(([app, by]) => [app, by])).toEqual(setups.map(({ app, by }) => [app, by]));
    const outcomes = rows.flatMap((cells) => cells.slice(3, -1));
    expect([...new Set(outcomes)].toSorted()).toEqual(['no', 'yes']);
    expect(outcomes.length).toBe(rows.length * 4);
    expect(rows.map((cells) => cells.at(-1) === 'yes')).toEqual(
      setups.map(({ isInTests }) => isInTests),
    );
  });

  it('have an error, and what to do instead, wherever one does not work', () => {
    const broken = rows.filter((cells) => cells.includes('no'));
    const explained = failures.map(([app, by]) => `${app} ${by}`);
    expect([...new Set(explained)]).toEqual(broken.map(([app, by]) => `${app} ${by}`));
    expect(failures.flat()).not.toContain('');
  });
});

describe('an app with the packed package', () => {
  it.each(linked)('$app, $by: works, or fails with the error of the page', async (setup) => {
    const build = setup.build(thisRelease);
    try {
      const error = await outcomeOf(build, thisRelease);
      const listed = failures.find(([app, by]) => app === setup.app && by === setup.by);
      expect(error).toBe(listed && plain(listed[3]));
    } finally {
      await build.then(
        (built) => built.remove(),
        () => undefined,
      );
    }
  });
});
