import { beforeAll, describe, expect, it } from '@jest/globals';

import { probes } from '../../why/probes/index.js';
import { runProbe } from '../../why/run-probe.js';
import { tableOf } from '../support/readme.js';

/** Probes at once; each has two processes. */
const AT_ONCE = 2;

const names = Object.keys(probes) as (keyof typeof probes)[];
const found = new Map<string, readonly [stock: string, isolated: string]>();

beforeAll(async () => {
  const waiting = [...names];
  const worker = async (): Promise<void> => {
    for (let name = waiting.shift(); name; name = waiting.shift()) {
      found.set(name, await Promise.all([runProbe(name, 'stock'), runProbe(name, 'isolated')]));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
}, 300_000);

describe('docs/why.md', () => {
  it('has a row for every probe, and no other', () => {
    const rows = tableOf('docs/why.md', 'why');
    expect(rows.map(([event]) => event)).toEqual(names.map((name) => probes[name].event));
  });

  it.each(names)('says what a run finds: %s', (name) => {
    const row = tableOf('docs/why.md', 'why').find(([event]) => event === probes[name].event);
    const [stock, isolated] = found.get(name)!;
    expect(isolated).toBe(probes[name].good);
    expect(stock).not.toBe(probes[name].good);
    expect(row).toEqual([probes[name].event, stock, isolated]);
  });
});
