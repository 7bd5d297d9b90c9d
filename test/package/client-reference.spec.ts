import { describe, expect, it } from '@jest/globals';

import { resolveSettings, type WebSocketClass } from '../../src/client/options.js';
import { plain, projectFile, tableOf } from '../support/readme.js';

const REFERENCE = 'docs/reference/client.md';

function names(source: string, start: string, pattern: RegExp): string[] {
  const text = projectFile(source);
  const from = text.indexOf(start);
  const [body] = text.slice(from).split(/^}|;\n\n(?=\/\*\*)/m);
  return [...body!.matchAll(pattern)].map(([, name]) => name!);
}

describe('docs/reference/client.md', () => {
  const options = tableOf(REFERENCE, 'client-options').map((row) => row.map(plain));

  it('has every option, and no other', () => {
    const all = names(
      'src/client/options.ts',
      'export interface ClientOptions',
      /^ {2}readonly (\w+)\?/gm,
    );
    expect(options.map(([name]) => name)).toEqual(all);
  });

  it('has the defaults of all numbers', () => {
    const settings: Record<string, unknown> = {
      ...resolveSettings({ WebSocket: Object as unknown as WebSocketClass }),
    };
    const numbers = Object.entries(settings).filter(([, value]) => typeof value === 'number');
    const told = options.filter(([name]) => numbers.some(([other]) => other === name));
    expect(told.map(([name, value]) => [name, Number(value)])).toEqual(numbers);
  });

  it('has every method of the client, and no other', () => {
    const all = names(
      'src/client/client.ts',
      'export interface Client<',
      /^ {2}(?:readonly )?(\w+)[<(:]/gm,
    );
    const [, section] = projectFile(REFERENCE).split('## Methods');
    const told = [...section!.split('\n## ')[0]!.matchAll(/^\| `(\w+)/gm)].map(([, name]) => name!);
    // An overloaded method is there twice.
    expect(told.toSorted()).toEqual([...new Set(all)].toSorted());
  });

  it('has every code of the client, and no other', () => {
    const all = names(
      'src/client/client.error.ts',
      'export type ClientErrorCode',
      /^ {2}\| '(\w+)'/gm,
    );
    expect(tableOf(REFERENCE, 'client-errors').map(([code]) => plain(code))).toEqual(all);
  });
});
