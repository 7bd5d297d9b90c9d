import { describe, expect, it } from '@jest/globals';
import { CloseCode } from 'nestjs-websocket-isolation';

import { defaultGroups } from '../../src/config/resolve-options.js';
import { tableOf } from '../support/readme.js';

describe('the README', () => {
  it('has every option with its default, and no other', () => {
    const options = Object.entries(defaultGroups()).flatMap(([group, values]) =>
      Object.entries(values as object).map(([name, value]) => [
        `${group}.${name}`,
        value as unknown,
      ]),
    );
    // The one default that depends on NODE_ENV.
    const expected = new Map(options as [string, unknown][]).set(
      'cleanup.proactiveIntervalMs',
      60_000,
    );
    const rows = tableOf('README.md', 'options').map(([option, value]) => [
      option!.replaceAll('`', ''),
      value!.replaceAll('`', ''),
    ]);
    expect(rows).toEqual([...expected].map(([name, value]) => [name, show(value)]));
  });

  it('has every close code of the code, and no other', () => {
    const rows = tableOf('README.md', 'close-codes').map(([code]) => Number(code));
    expect(rows).toEqual(Object.values(CloseCode).toSorted((a, b) => a - b));
  });
});

function show(value: unknown): string {
  if (typeof value === 'string') return `'${value}'`;
  return Array.isArray(value) ? '[]' : String(value);
}
