import { beforeAll, describe, expect, it } from '@jest/globals';

import { probes } from '../../why/probes/index.js';
import { runProbe } from '../../why/run-probe.js';
import { tableOf } from '../support/readme.js';

/** The number of concurrent probes. Each has two processes. */
const AT_ONCE = 2;

/** The number of attempts on stock gateways, whose faults are often races that a busy machine may win at times. */
const ATTEMPTS = 8;

const names = Object.keys(probes) as (keyof typeof probes)[];
const found = new Map<string, readonly [stock: string, isolated: string]>();

function rowOf(name: keyof typeof probes): readonly string[] | undefined {
  return tableOf('docs/why.md', 'why').find(([event]) => event === probes[name].event);
}

/** Resolves with the finding on stock gateways: of the first run that matches the page, or of the last one. */
async function stockRun(name: keyof typeof probes): Promise<string> {
  let stock = '';
  for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
    stock = await runProbe(name, 'stock');
    if (withoutCounts(stock) === withoutCounts(rowOf(name)?.[1])) return stock;
  }
  return stock;
}

// Replaces numbers, because the number of concurrent handlers depends on the speed of the machine.
function withoutCounts(finding = ''): string {
  return finding.replaceAll(/\d[\d,]*/g, 'N');
}

beforeAll(async () => {
  const waiting = [...names];
  const worker = async (): Promise<void> => {
    for (let name = waiting.shift(); name; name = waiting.shift()) {
      found.set(name, await Promise.all([stockRun(name), runProbe(name, 'isolated')]));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
});

describe('docs/why.md', () => {
  it('has a row for every probe, and no other', () => {
    const rows = tableOf('docs/why.md', 'why');
    expect(rows.map(([event]) => event)).toEqual(names.map((name) => probes[name].event));
  });

  it.each(names)('matches the findings of a run: %s', (name) => {
    const [event, stockSays, isolatedSays] = rowOf(name)!;
    const [stock, isolated] = found.get(name)!;
    expect(isolated).toBe(probes[name].good);
    expect(stock).not.toBe(probes[name].good);
    expect([event, isolatedSays]).toEqual([probes[name].event, isolated]);
    expect(withoutCounts(stockSays)).toBe(withoutCounts(stock));
  });
});
